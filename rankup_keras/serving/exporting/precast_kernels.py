"""Kernels in the half precision that they are multiplied in: cast once, not at every request."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from rankup_keras.compat.nested_layers import nested_layers

_HALVES = ("bfloat16", "float16")


class PrecastKernels:
    """The kernels of a model under a mixed policy, as its layers cast them.

    Under `mixed_bfloat16` a layer casts its float32 kernel in every call. Training has to; a graph
    that is served does so at each request, which for small batches takes longer than the products.

    Args:
        model: a built model. The casts are those of its present weights.

    Attributes:
        casts: pairs of a kernel and the variable that holds its cast.
    """

    def __init__(self, model: keras.Model):
        self.casts: list[tuple[keras.Variable, tf.Variable]] = []
        for layer in nested_layers(model):
            kernel = getattr(layer, "kernel", None)
            if layer.compute_dtype not in _HALVES or not isinstance(kernel, keras.Variable):
                continue
            if kernel.dtype == "float32":
                value = tf.cast(tf.convert_to_tensor(kernel.value), layer.compute_dtype)
                self.casts.append((kernel, tf.Variable(value, trainable=False, name=kernel.name)))

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Within it, layers find the casts in place of their kernels."""
        if not self.casts:
            yield
            return
        with keras.StatelessScope() as scope:
            for kernel, cast in self.casts:
                # Not as the scope's `state_mapping`, which would cast it back.
                scope.add_update((kernel, cast.value()))
            yield
