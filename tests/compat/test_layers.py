"""Keras still has no public way to every layer inside a layer."""

import keras

from rankup_keras.compat.layers import nested_layers


class Outer(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(2)
        self.again = self.inner

    def call(self, x):
        return self.again(self.inner(x))


def test_layers_at_any_depth_are_found_once():
    outer = Outer()
    model = keras.Sequential([keras.Input((2,)), outer])
    found = nested_layers(model)
    assert found[0] is model
    assert sum(layer is outer.inner for layer in found) == 1
    assert nested_layers(outer.inner) == [outer.inner]


def test_no_public_name_does_it():
    outer = Outer()
    assert not hasattr(outer, "layers")
    assert not hasattr(outer, "flatten_layers")
    assert outer.inner not in keras.Sequential([outer]).layers
