"""Layers of several arguments, as `run_layer_test` can call them."""

import keras


def of_a_list(base, first_output=False):
    """A layer that takes the arguments of `base` in one list; its first output alone if asked."""

    class OfAList(base):
        def build(self, input_shape):
            if base.build is not keras.layers.Layer.build:
                super().build(*input_shape)

        def call(self, inputs):
            found = super().call(*inputs)
            return found[0] if first_output else found

    if first_output:
        OfAList.compute_output_spec = lambda self, inputs: base.compute_output_spec(self, *inputs)[
            0
        ]
    else:
        OfAList.compute_output_shape = lambda self, shape: base.compute_output_shape(self, *shape)
    OfAList.__name__ = OfAList.__qualname__ = f"{base.__name__}OfAList"
    return keras.saving.register_keras_serializable("rankup_keras_tests")(OfAList)
