"""Weights from model to model; to and from TPUs in `test_on_tpu.py`."""

import numpy as np
import pytest

import rankup_keras as rk
from tests.models import tiny


@pytest.mark.parametrize("make", list(tiny.MAKERS.values()), ids=list(tiny.MAKERS))
def test_a_copy_scores_alike(make):
    model = make()
    for variable in model.trainable_variables:
        variable.assign_add(np.full(variable.shape, 0.01, "float32"))
    copy = rk.models.copy_to_host(model)
    assert copy.features is model.features
    rows = tiny.make_rows()
    expected, actual = model.predict_on_batch(rows), copy.predict_on_batch(rows)
    np.testing.assert_allclose(actual["buy"], expected["buy"], atol=1e-6)


def test_models_of_another_configuration_are_refused():
    source = tiny.make_rankmixer()
    with pytest.raises(ValueError, match=r"Table 'shared/user' has the shape \(\d+, 8\)"):
        rk.models.copy_weights(source, tiny.make_rankmixer(embedding_dim=8))
    with pytest.raises(ValueError, match="They differ in layer 'block_1_ffn'"):
        rk.models.copy_weights(source, tiny.make_rankmixer(expansion=3))
    with pytest.raises(ValueError, match=r"Received: \d+ and \d+ layers"):
        rk.models.copy_weights(source, tiny.make_rankmixer(num_blocks=2))
