"""What a served graph would make of its weights at every request, made once."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.layers.mixers import UniMixing

_HALVES = ("bfloat16", "float16")


class PrecastKernels:
    """The kernels of a model under a mixed policy as its layers cast them, and finished mixings.

    Under `mixed_bfloat16` a layer casts its float32 kernel in every call. Training has to; a graph
    that is served does so at each request, which for small batches takes longer than the products.
    So do the Sinkhorn steps of a `UniMixing`.

    Args:
        model: a built model. The casts and matrices are those of its present weights.

    Attributes:
        casts: pairs of a kernel and the variable that holds its cast.
        mixings: pairs of a `UniMixing` and the variables that hold its matrices.
    """

    def __init__(self, model: keras.Model):
        self.casts: list[tuple[keras.Variable, tf.Variable]] = []
        self.mixings: list[tuple[UniMixing, tuple[tf.Variable, ...]]] = []
        for layer in nested_layers(model):
            if isinstance(layer, UniMixing):
                made = (tf.cast(matrix, layer.compute_dtype) for matrix in layer.matrices())
                held = tuple(tf.Variable(m, trainable=False, name=layer.name) for m in made)
                self.mixings.append((layer, held))
            kernel = getattr(layer, "kernel", None)
            if layer.compute_dtype not in _HALVES or not isinstance(kernel, keras.Variable):
                continue
            if kernel.dtype == "float32":
                value = tf.cast(tf.convert_to_tensor(kernel.value), layer.compute_dtype)
                self.casts.append((kernel, tf.Variable(value, trainable=False, name=kernel.name)))

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Within it, layers find the casts in place of their kernels, and finished matrices."""
        if not self.casts and not self.mixings:
            yield
            return
        with keras.StatelessScope() as scope, contextlib.ExitStack() as mixings:
            for mixing, held in self.mixings:
                mixings.enter_context(mixing.finished_as(held))
            for kernel, cast in self.casts:
                # Not as the scope's `state_mapping`, which would cast it back.
                scope.add_update((kernel, cast.value()))
            yield
