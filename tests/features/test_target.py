"""What a column is to become."""

import dataclasses

import pyarrow as pa
import pytest

from rankup_keras.features.conversion import convert
from rankup_keras.features.target import Target


def test_text_and_numbers_are_read_as_each_other_in_files_only():
    for kind, array in (("string", pa.array([1])), ("int64", pa.array(["1"]))):
        target = Target("x", "x", kind)
        target.check_type(array.type)
        with pytest.raises(TypeError, match="must hold"):
            dataclasses.replace(target, strict=True).check_type(array.type)
        assert len(convert(array, target)[0]) == 1
