"""Presets by function and by class."""

import pytest

import rankup_keras as rk
from tests.models import tiny


def test_presets_of_a_class():
    features = tiny.make_features()
    model = rk.RankUp.from_preset("rankup_small", features, ["click"], token_dim=None)
    assert type(model) is rk.RankUp
    assert model.get_config()["expansion"] == 2
    assert type(rk.models.RankingModel.from_preset("rankmixer_small", features, ["click"])) is (
        rk.RankMixer
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            rk.RankUp.from_preset,
            r"'rankup_small'.*\] for RankUp\. Received: 'rankmixer_small', which is a preset of Ra",
        ),
        (rk.DLRM.from_preset, r"one of \[\] for DLRM"),
    ],
)
def test_presets_of_another_class_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make("rankmixer_small", tiny.make_features(), ["click"])


def test_unknown_presets_are_refused():
    with pytest.raises(ValueError, match=r"`preset` must be one of.*rankup.*Received: 'tiny'"):
        rk.from_preset("tiny", tiny.make_features(), ["click"])
