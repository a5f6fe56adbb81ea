import pytest

import rankup_keras as rk
from tests.models import small_rows


def make(**settings):
    return rk.RankElastor(
        small_rows.features(), ["click"], token_dim=4, embedding_dim=4, num_tokens=5, **settings
    )


@pytest.mark.parametrize(
    ("form", "norm", "width"), [("paper", "layer_norm", 4), ("code", "rms_norm", 5 * 4)]
)
def test_the_two_forms(form, norm, width):
    model = make(form=form)
    assert model.get_layer("block_1_mixer").norm_kind == norm
    assert model.get_layer("pooling").output.shape == (None, width)
    assert model.get_layer("tokenizer").shared == (form == "code")
    again = rk.RankElastor.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [v.shape for v in again.weights] == [v.shape for v in model.weights]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "draft"}, r"`form` must be one of \('paper', 'code'\)"),
        ({"hidden_units": [8]}, "`hidden_units` belongs to form='code'"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        make(**settings)
