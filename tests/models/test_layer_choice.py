"""Layers of the user's in place of names: copies, seeds, policies and configs."""

import keras
import numpy as np
import pytest

from rankup_keras.layers import PerTokenFFN, PerTokenGLU
from rankup_keras.models.layer_choice import is_own_layer, kind_and_arguments, own_layer

FLOAT32, HALF = keras.DTypePolicy("float32"), keras.DTypePolicy("mixed_bfloat16")


@keras.saving.register_keras_serializable("tests")
class Shifted(keras.layers.Layer):
    """A layer with a layer inside."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, x):
        return self.inner(x) + 1

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


class Unsaved(keras.layers.Layer):
    """A layer whose arguments no config tells."""

    def __init__(self, table, **kwargs):
        super().__init__(**kwargs)


def test_names_and_dicts():
    assert kind_and_arguments("ffn", "glu", ["glu"]) == ("glu", {})
    given = {"kind": "glu", "expansion": 3}
    assert kind_and_arguments("ffn", given, {"glu": 1}) == ("glu", {"expansion": 3})
    assert given == {"kind": "glu", "expansion": 3}


@pytest.mark.parametrize("choice", ["mlp", {"kind": "mlp"}, {}, 3, None, PerTokenFFN])
def test_what_is_no_choice(choice):
    with pytest.raises(ValueError, match=r"`ffn` must be one of \('glu',\), a dict .* a layer"):
        kind_and_arguments("ffn", choice, ["glu"])


def test_own_layers():
    layer = PerTokenFFN()
    assert is_own_layer(layer)
    assert is_own_layer(keras.saving.serialize_keras_object(layer))
    assert not any(map(is_own_layer, ["glu", {"kind": "glu"}, PerTokenFFN]))


def kernel_of(layer, shape=(3, 4)):
    layer(np.zeros((2, *shape), "float32"))
    return np.asarray(layer.trainable_variables[0])


@pytest.mark.parametrize("seed", [None, 7])
def test_every_copy_has_weights_of_its_own(seed):
    given = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(seed))
    copies = [own_layer("ffn", given, name, FLOAT32) for name in ("a", "b", "b")]
    first, second, again = map(kernel_of, copies)
    assert not given.built
    assert not np.array_equal(first, second)
    # From a seed that the user gave, the same weights each time.
    assert np.array_equal(second, again) == (seed is not None)
    assert [copy.name for copy in copies] == ["a", "b", "b"]


def test_at_every_depth():
    inner = keras.layers.Dense(4, kernel_initializer=keras.initializers.GlorotUniform(7))
    given = Shifted(keras.Sequential([inner, keras.layers.Dropout(0.5, seed=3)]))
    first, second = (own_layer("ffn", given, name, HALF) for name in "ab")
    assert first.inner.layers[0].compute_dtype == "bfloat16"
    assert first.inner.layers[1].seed != second.inner.layers[1].seed
    assert not np.array_equal(kernel_of(first), kernel_of(second))
    assert inner.compute_dtype == "float32"


def test_a_copy_of_a_built_layer_takes_other_shapes():
    given = PerTokenFFN(dtype="float32")
    kernel_of(given, (3, 4))
    assert kernel_of(own_layer("ffn", given, "copy", FLOAT32), (5, 6)).shape[-2] == 6


def test_a_config_is_the_layer_that_it_describes():
    given = PerTokenGLU(expansion=3, activation="relu")
    copy = own_layer("ffn", keras.saving.serialize_keras_object(given), "copy", FLOAT32)
    assert copy.get_config() == {**given.get_config(), "name": "copy"}


@pytest.mark.parametrize(
    "choice",
    [
        Unsaved(object()),
        {"class_name": "Nonesuch", "module": "nowhere", "config": {}, "registered_name": None},
        {"class_name": "GlorotUniform", "module": "keras.initializers", "config": {}},
    ],
)
def test_what_cannot_be_copied(choice):
    with pytest.raises(ValueError, match="`ffn` must be a layer"):
        own_layer("ffn", choice, "copy", FLOAT32)
