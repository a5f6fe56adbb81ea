"""Public sets: tiny files in the exact formats."""

import pytest

import rankup_keras as rk
from rankup_keras.data import DataError


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no train\.txt or train\.tsv"):
        rk.datasets.criteo(tmp_path)
    with pytest.raises(ValueError, match='`split` must be "random" or "time"'):
        rk.datasets.avazu(tmp_path, split="day")
    with pytest.raises(ValueError, match="`tasks` must be among"):
        rk.datasets.kuairand(tmp_path, tasks=("click",))
