"""The helper catches the faults that layers have."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.helpers.layer_test import run_layer_test

register = keras.saving.register_keras_serializable("rankup_keras_tests")


@register
class Scale(keras.layers.Layer):
    """`x * gain + bias`, as it should be."""

    def __init__(self, gain=1.0, **kwargs):
        super().__init__(**kwargs)
        self.gain = gain

    def build(self, input_shape):
        self.bias = self.add_weight(shape=(input_shape[-1],), name="bias")

    def call(self, inputs):
        return inputs * self.gain + ops.cast(self.bias, inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "gain": self.gain}


@register
class ForgetsArgument(Scale):
    def get_config(self):
        config = super().get_config()
        del config["gain"]
        return config


@register
class ChangesArgument(Scale):
    def get_config(self):
        return {**super().get_config(), "gain": self.gain + 1.0}


class NotRegistered(Scale):
    pass


@register
class SeesTheBatch(Scale):
    def call(self, inputs):
        return super().call(inputs) - ops.mean(inputs, axis=0)


@register
class FixesTheBatch(Scale):
    def call(self, inputs):
        batch = inputs.shape[0] or 4
        return super().call(ops.reshape(inputs, (batch, -1)))


@register
class UnusedWeight(Scale):
    def build(self, input_shape):
        super().build(input_shape)
        self.unused = self.add_weight(shape=(), name="unused")


@register
class DropsPolicy(Scale):
    def __init__(self, gain=1.0, **kwargs):
        super().__init__(gain, **{**kwargs, "dtype": "float32"})


@register
class OutputsFloat32(Scale):
    def call(self, inputs):
        return ops.cast(super().call(inputs), "float32")


@register
class WrongSymbolicShape(Scale):
    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 1)


@register
class HidesWeightFromSaving(Scale):
    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass


@register
class Dictionaries(Scale):
    def build(self, input_shape):
        super().build(input_shape["x"])

    def call(self, inputs):
        y = super().call(inputs["x"])
        return {"y": y, "even": ops.equal(inputs["id"] % 2, 0)}


def reference(inputs, weights):
    return inputs * 2.0 + weights["bias"]


def test_right_layer_passes():
    layer = run_layer_test(
        Scale,
        {"gain": 2.0},
        input_shape=(4, 3),
        expected_output_shape=(4, 3),
        expected_num_trainable=1,
        expected_num_parameters=3,
        reference=reference,
    )
    assert np.any(layer.bias.numpy() != 0.0)


def test_nests():
    run_layer_test(
        Dictionaries,
        {"gain": 2.0},
        inputs={"x": np.ones((4, 3), "float32"), "id": np.arange(4, dtype="int32")},
        expected_output_shape={"y": (4, 3), "even": (4,)},
    )


@pytest.mark.parametrize(
    ("layer_cls", "message"),
    [
        (ForgetsArgument, r"config round trip: `get_config` leaves out the arguments \['gain'\]"),
        (ChangesArgument, "config round trip: config after"),
        (NotRegistered, "config round trip: the class is not registered"),
        (SeesTheBatch, "one sample by itself: outputs differ by"),
        (FixesTheBatch, "symbolic call: symbolic shape"),
        (DropsPolicy, "mixed_bfloat16: compute dtype float32"),
        (OutputsFloat32, "mixed_bfloat16: output dtype float32, not bfloat16"),
        (WrongSymbolicShape, r"symbolic call: symbolic shape \(None, 1\)"),
        (HidesWeightFromSaving, "save and load: "),
    ],
)
def test_broken_layer_is_caught(layer_cls, message):
    with pytest.raises(AssertionError, match=message):
        run_layer_test(layer_cls, {"gain": 2.0}, input_shape=(4, 3))


@pytest.mark.filterwarnings("ignore:Gradients do not exist for variables:UserWarning")
def test_weight_without_gradient_is_caught():
    with pytest.raises(AssertionError, match="one step of fit: training left unused as it was"):
        run_layer_test(UnusedWeight, {}, input_shape=(4, 3))
    run_layer_test(UnusedWeight, {}, input_shape=(4, 3), untrained=["unused"])
    with pytest.raises(AssertionError, match="bias was to stay as it is"):
        run_layer_test(UnusedWeight, {}, input_shape=(4, 3), untrained=["unused", "bias"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reference": lambda x, w: 3.0 * x}, "NumPy reference: outputs differ by"),
        ({"expected_output_shape": (4, 4)}, r"output shape \(4, 3\), not \(4, 4\)"),
        ({"expected_num_trainable": 2}, r"1 trainable variables, not 2: \['bias'\]"),
        ({"expected_num_parameters": 4}, "3 parameters, not 4"),
    ],
)
def test_broken_expectation_is_caught(arguments, message):
    with pytest.raises(AssertionError, match=message):
        run_layer_test(Scale, {"gain": 2.0}, input_shape=(4, 3), **arguments)
