import keras

from rankup_keras.compat.sublayers import sublayers


@keras.saving.register_keras_serializable("tests")
class Nest(keras.layers.Layer):
    """A layer in a layer in a layer."""

    def __init__(self, depth, **kwargs):
        super().__init__(**kwargs)
        self.inner = Nest(depth - 1) if depth else keras.layers.Dense(1)

    def call(self, x):
        return self.inner(x)


def test_every_depth():
    nest = Nest(2)
    kinds = [type(layer).__name__ for layer in sublayers(nest)]
    assert kinds == ["Nest", "Nest", "Nest", "Dense"]
    assert sublayers(nest, include_self=False) == sublayers(nest)[1:]
    model = keras.Sequential([keras.Input((2,)), nest])
    assert nest.inner.inner.inner in sublayers(model)


def test_keras_has_no_public_way_yet():
    assert callable(keras.layers.Layer._flatten_layers)
    public = {name for name in dir(keras.layers.Layer) if "layers" in name and name[0] != "_"}
    assert public == set()
    model = keras.Sequential([keras.Input((2,)), Nest(1)])
    assert [type(layer).__name__ for layer in model.layers] == ["Nest"]
