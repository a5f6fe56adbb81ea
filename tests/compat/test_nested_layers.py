import keras

from rankup_keras.compat.nested_layers import nested_layers


class Outer(keras.layers.Layer):
    def __init__(self):
        super().__init__(name="outer")
        self.inner = [keras.layers.Dense(2, name="first"), keras.layers.Dense(2, name="second")]


def test_layers_inside_layers_are_found():
    model = keras.Sequential([Outer()])
    names = [layer.name for layer in nested_layers(model)]
    assert sorted(names) == ["first", "outer", "second"]
    assert nested_layers(model, include_self=True)[0] is model


def test_keras_has_no_public_way_yet():
    assert not hasattr(keras.layers.Layer, "layers")
    assert [layer.name for layer in keras.Sequential([Outer()]).layers] == ["outer"]
