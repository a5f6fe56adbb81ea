"""What a graph must check for itself, because the server checks no shapes."""

import re
from collections.abc import Mapping

import tensorflow as tf


def check_columns(
    columns: Mapping[str, tf.Tensor], spec: Mapping[str, tf.TensorSpec], rows: str = "rows"
) -> dict[str, tf.Tensor]:
    """The columns again, behind checks of their ranks, widths and common batch size.

    `tensorflow_model_server` feeds what it is sent: neither rank nor width is compared with the
    signature. An assertion on a shape that the tracer knows statically is dropped from the graph,
    so the static shape is forgotten first and ensured at run time. The ops bear the columns' names,
    so errors do too: `Shape of tensor .../column_price [7,1] is not compatible with ...`.

    Args:
        columns: raw columns, as the signature's placeholders give them.
        spec: name to `tf.TensorSpec`, batch dimension first, of the columns to return.
        rows: what the batch dimension counts, for the message. Defaults to `"rows"`.
    """
    names = sorted(spec)
    checked = {}
    for name in names:
        safe = re.sub(r"[^A-Za-z0-9_.]", "_", name)
        loose = _forget_shape(columns[name], f"column_{safe}")
        checked[name] = tf.ensure_shape(loose, spec[name].shape, name=f"check_{safe}")
    counts = tf.stack([tf.shape(checked[name])[0] for name in names])
    equal = tf.equal(counts, counts[0])
    differs = tf.logical_not(equal)
    check = tf.debugging.Assert(
        tf.reduce_all(equal),
        [
            f"every column must have as many {rows} as {names[0]}, which has",
            counts[0],
            "; differing columns:",
            tf.boolean_mask(tf.constant(names), differs),
            f"; their {rows}:",
            tf.boolean_mask(counts, differs),
        ],
        summarize=100,
    )
    return _after(check, checked)


def check_one_row(columns: Mapping[str, tf.Tensor], what: str) -> dict[str, tf.Tensor]:
    """Checked columns again, behind an assertion that they hold exactly one row."""
    count = tf.shape(columns[min(columns)])[0]
    check = tf.debugging.Assert(
        tf.equal(count, 1), [f"{what} must have exactly one row; rows received:", count]
    )
    return _after(check, columns)


def check_vector(strings: tf.Tensor) -> tf.Tensor:
    """Strings behind a check that they are a vector."""
    return tf.ensure_shape(_forget_shape(strings), (None,))


def _forget_shape(tensor: tf.Tensor, name: str | None = None) -> tf.Tensor:
    return tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=None, name=name)


def _after(check: tf.Operation, columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    with tf.control_dependencies([check]):
        return {name: tf.identity(columns[name]) for name in sorted(columns)}
