"""Raw columns reach a layer's `call` as they are."""

import keras
import numpy as np
import pytest

from rankup_keras.compat.raw_inputs import take_raw_inputs


class Echo(keras.layers.Layer):
    def call(self, columns):
        return columns


def test_the_attributes_are_still_what_keras_reads():
    layer = Echo()
    assert layer._convert_input_args is True
    assert layer._allow_non_tensor_positional_args is False


def test_keras_refuses_raw_columns_unless_told():
    with pytest.raises(ValueError, match="positional arguments"):
        Echo()({"words": ["a", "b"]})


def test_columns_arrive_as_they_are():
    layer = Echo()
    take_raw_inputs(layer)
    columns = {"words": ["a", "b"], "ids": np.array([2**40], np.int64)}
    found = layer(columns)
    assert found["words"] == ["a", "b"]
    assert found["ids"] is columns["ids"]
