"""What a graph must check for itself, because the server checks no shapes."""

import re
from collections.abc import Mapping

import tensorflow as tf


def guarded(
    columns: Mapping[str, tf.Tensor], spec: Mapping[str, tf.TensorSpec], rows: str = "rows"
) -> dict[str, tf.Tensor]:
    """The columns again, behind checks of their ranks, widths and common batch size.

    `tensorflow_model_server` feeds what it is sent: neither rank nor width is compared with the
    signature. An assertion on a shape that the tracer knows statically is dropped from the graph,
    so the static shape is forgotten first and ensured at run time; the ops bear the columns'
    names, and with them the error: `Shape of tensor .../column_price [7,1] is not compatible with
    expected shape [?]`.

    Args:
        columns: raw columns, as the signature's placeholders give them.
        spec: name to `tf.TensorSpec`, batch dimension first.
        rows: what the batch dimension counts, for the message. Defaults to `"rows"`.

    Returns:
        The columns with the static shapes of `spec`.
    """
    names = sorted(spec)
    checked = {}
    for name in names:
        safe = re.sub(r"[^A-Za-z0-9_.]", "_", name)
        loose = tf.raw_ops.PlaceholderWithDefault(
            input=columns[name], shape=None, name=f"column_{safe}"
        )
        checked[name] = tf.ensure_shape(loose, spec[name].shape, name=f"check_{safe}")
    counts = tf.stack([tf.shape(checked[name])[0] for name in names])
    same = tf.equal(counts, counts[0])
    bad = tf.logical_not(same)
    check = tf.debugging.Assert(
        tf.reduce_all(same),
        [
            f"every column must have as many {rows} as {names[0]}, which has",
            counts[0],
            "; differing columns:",
            tf.boolean_mask(tf.constant(names), bad),
            f"; their {rows}:",
            tf.boolean_mask(counts, bad),
        ],
        summarize=100,
    )
    with tf.control_dependencies([check]):
        return {name: tf.identity(checked[name]) for name in names}


def assert_one_row(columns: Mapping[str, tf.Tensor], what: str) -> tf.Operation:
    """An assertion that the columns, already guarded, hold exactly one row."""
    count = tf.shape(columns[min(columns)])[0]
    return tf.debugging.Assert(
        tf.equal(count, 1), [f"{what} must have exactly one row; rows received:", count]
    )
