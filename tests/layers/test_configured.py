"""The config of a layer is the arguments of its constructor, and those of its bases."""

import json

import keras

from rankup_keras.layers.configured import ConfiguredLayer


@keras.saving.register_keras_serializable("tests")
class Base(ConfiguredLayer):
    def __init__(self, units, activation="relu", initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.initializer = keras.initializers.get(initializer)


@keras.saving.register_keras_serializable("tests")
class Wider(Base):
    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor


@keras.saving.register_keras_serializable("tests")
class WithoutArguments(Base):
    pass


def test_arguments_of_a_layer_and_of_its_bases():
    layer = Wider(3, units=5, activation="gelu", initializer=keras.initializers.Constant(7))
    config = layer.get_config()
    assert json.loads(json.dumps(config)) == config
    assert (config["factor"], config["units"], config["activation"]) == (3, 5, "gelu")
    again = Wider.from_config(config)
    assert again.get_config() == config
    assert again.activation is keras.activations.gelu
    assert again.initializer.value == 7


def test_a_subclass_without_a_constructor():
    config = WithoutArguments(4).get_config()
    assert config["units"] == 4
    assert WithoutArguments.from_config(config).get_config() == config


def test_what_keras_keeps_of_every_layer_stays():
    layer = Base(1, name="b", dtype="mixed_bfloat16", trainable=False)
    again = Base.from_config(layer.get_config())
    assert (again.name, again.dtype_policy.name, again.trainable) == ("b", "mixed_bfloat16", False)
