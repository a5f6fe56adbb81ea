"""Initial values of large tables, written in pieces so that no temporary has the table's size."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

PIECE_ELEMENTS = 1 << 22

FAN_DEPENDENT = (
    keras.initializers.VarianceScaling,
    keras.initializers.Orthogonal,
    keras.initializers.Identity,
)


def check_initializer(initializer: Any) -> None:
    """Refuses initializers whose scale or shape depends on the number of rows."""
    if isinstance(initializer, FAN_DEPENDENT):
        raise ValueError(
            "`embeddings_initializer` must not depend on the number of rows, which says nothing "
            "about one row. Use `keras.initializers.RandomUniform(-a, a)` or "
            f"`RandomNormal(stddev=a)`. Received: {type(initializer).__name__}."
        )


def reseeded(initializer: Any, index: int) -> Callable[..., Any]:
    """The initializer with numbers of its own for every index.

    A Keras initializer returns the same numbers at each call: without this, every
    piece of a table would repeat the first one.
    """
    seed = getattr(initializer, "seed", None)
    if not isinstance(seed, int | np.integer):
        return initializer
    config = {**initializer.get_config(), "seed": (int(seed) + 1_000_003 * index) % (2**31)}
    return type(initializer).from_config(config)


def in_pieces(initializer: Any, elements: int = PIECE_ELEMENTS) -> Callable[..., Any]:
    """An initializer that fills a table piece by piece with another one.

    Keras's random initializers make two or three temporaries of the size of the
    variable; at 20 million rows they alone exceed the memory that training needs.

    Args:
        initializer: a Keras initializer whose values do not depend on the
            shape, or a callable `(shape, dtype) -> tensor`.
        elements: values per piece. Defaults to 4 million (16 MiB of float32).
    """

    def initial(shape: Any, dtype: Any = None) -> Any:
        rows, width = int(shape[0]), int(shape[1])
        step = max(1, elements // width)
        if rows <= step:
            return initializer((rows, width), dtype=dtype)
        kind = tf.as_dtype(dtype or keras.config.floatx())
        with tf.init_scope():
            table = tf.zeros((rows, width), kind)
            for index, start in enumerate(range(0, rows, step)):
                stop = min(rows, start + step)
                values = reseeded(initializer, index)((stop - start, width), dtype=kind.name)
                # Not a variable's slices, whose assignment copies all of it each time.
                table = tf.raw_ops.InplaceUpdate(
                    x=table, i=tf.range(start, stop), v=tf.convert_to_tensor(values, kind)
                )
            return table

    return initial
