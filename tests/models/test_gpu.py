"""What only a GPU shows of training, scoring and exporting."""

import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from tests.models.test_compiled_region import BATCH, make_model, make_rows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="needs a GPU"),
]


def test_a_model_trains_compiled_and_scores_as_on_a_cpu(tmp_path):
    model, rows = make_model("auto"), make_rows()
    losses = model.fit(rows, batch_size=BATCH, epochs=2, verbose=0).history["loss"]
    assert model.compiled_region() is not None
    with tf.device("/cpu:0"):
        plain = make_model(False)
        wanted = plain.fit(rows, batch_size=BATCH, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)  # sums in another order
    # The export's check compares to 1e-6 on the CPU, TF32 or not.
    tf.config.experimental.enable_tensor_float_32_execution(True)
    try:
        assert rk.export(model, tmp_path / "ranker", warmup=rows).is_dir()
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(False)
