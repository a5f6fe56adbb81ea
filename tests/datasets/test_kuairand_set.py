"""KuaiRand: tiny files in the exact formats."""

import numpy as np
import pytest

import rankup_keras as rk
from tests.helpers import public_sets as tiny
from tests.helpers.set_checks import count_rows, first_batch


@pytest.mark.parametrize("random_exposures", [False, True])
def test_kuairand(tmp_path, random_exposures):
    folder = tiny.write_kuairand(tmp_path / "KuaiRand-Pure" / "data")
    data = rk.datasets.kuairand(folder.parent, random_exposures=random_exposures)
    train, valid, test = count_rows(data.train, data.valid, data.test)
    assert train == 40
    assert test == 20 if random_exposures else valid + test == 40
    columns, labels = first_batch(data.train)
    assert columns["hour"][:3].tolist() == [b"0", b"11", b"22"]
    assert columns["follow_user_num_range"][0] == b"(0,10]"
    assert list(columns["tag"][1]) == [b"1", b"2"]
    assert list(columns["tag"][5]) == [b"", b""]  # a video that the table lacks
    assert np.isnan(columns["video_duration"][5])
    assert set(labels) == {"is_click", "is_like", "long_view"}
