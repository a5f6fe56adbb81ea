import pytest

from rankup_keras.distribution.tpu.chips import CHIPS, chip_of


def test_chips_by_topology():
    assert chip_of("v5e:2x2").memory == 16 * 2**30
    assert chip_of("v5p:2x2x1") is CHIPS["v5p"]
    for wrong in ("v5e", "v5e:", "v5e:four", "v9:2x2", ""):
        with pytest.raises(ValueError, match="`topology` must be one of"):
            chip_of(wrong)
