"""Models of a precision of their own, whatever Keras's global policy is."""

import keras
import numpy as np
import pytest

from tests.models import tiny


@pytest.mark.parametrize("way", ["argument", "global policy"])
def test_loss_scaling_outlives_a_reload_under_another_policy(way, tmp_path):
    if way == "argument":
        model = tiny.make_rankmixer(dtype="mixed_float16")
    else:
        keras.config.set_dtype_policy("mixed_float16")
        model = tiny.make_rankmixer()
        keras.config.set_dtype_policy("float32")
    model.compile()
    rows, labels = tiny.make_rows(), tiny.make_labels()
    model.fit(rows, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        assert each.dtype_policy.name == "mixed_float16"
        assert isinstance(each.optimizer, keras.optimizers.LossScaleOptimizer)
    for ours, theirs in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    scores = [each.predict(rows, verbose=0)["buy"] for each in (model, loaded)]
    np.testing.assert_allclose(*scores, atol=1e-6)


def test_a_half_precision_model_says_so_under_float32():
    model = tiny.make_rankmixer(dtype="mixed_bfloat16")
    again = model.from_config(model.get_config())
    assert model.dtype_policy.name == again.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_training_in_half_precision_alone_is_refused(half):
    with pytest.raises(ValueError, match=rf"dtype\('{half}'\).*mixed_bfloat16"):
        tiny.make_rankmixer(dtype=half).compile()
    keras.config.set_floatx(half)
    try:
        with pytest.raises(ValueError, match=rf"set_floatx\('{half}'\).*mixed_bfloat16"):
            tiny.make_rankmixer(dtype="float32").compile()
    finally:
        keras.config.set_floatx("float32")
