"""Ali-CCP: tiny files in the exact formats."""

import numpy as np

import rankup_keras as rk
from tests.helpers import public_sets as tiny
from tests.helpers.set_checks import count_rows, first_batch


def test_ali_ccp(tmp_path):
    data = rk.datasets.ali_ccp(tiny.write_ali_ccp(tmp_path), min_count=1)
    train, valid, test = count_rows(data.train, data.valid, data.test)
    assert train == 30
    assert valid + test == 20
    columns, labels = first_batch(data.train)
    assert columns["101"][:4].tolist() == [b"0", b"1", b"2", b"0"]
    assert columns["205"][:3].tolist() == [b"0", b"1", b"2"]
    assert list(columns["210"][0]) == [b"4", b"5"]
    assert list(columns["109_14"][1]) == [b"2", b"3"]
    assert list(columns["109_14"][0]) == [b"1", b""]
    assert columns["301"][0] == b""
    np.testing.assert_array_equal(labels["buy"] <= labels["click"], True)
