"""Graph code of lookups: rows from a resource variable, bags reduced, columns permuted."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from rankup_keras.kernels.program import on_host
from rankup_keras.layers.embeddings.layout import BagGroup


def take_columns(ids: tf.Tensor, columns: np.ndarray) -> tf.Tensor:
    """Columns of a (batch, slots) tensor; repeats of one run, as of table sets, cost no gather."""
    start, count = int(columns[0]), len(columns)
    run = int(columns.max()) - start + 1
    if (
        run > 0
        and count % run == 0
        and np.array_equal(columns, np.tile(np.arange(start, start + run), count // run))
    ):
        with on_host():
            whole = ids[:, start : start + run]
            return whole if count == run else tf.tile(whole, (1, count // run))
    with on_host():
        return tf.gather(ids, columns, axis=1)


def take_rows(
    variable: tf.Variable, indices: tf.Tensor, parts: Sequence[tuple[int, int]]
) -> list[tf.Tensor]:
    """Rows of a variable at indices (batch, slots), as (batch, slots, width) for every part.

    They are read slot by slot, so that the reads, and in the update the writes,
    of one table follow one another: with many fields a table then stays in the
    processor's cache while its rows are needed.

    Args:
        variable: (rows, all widths).
        indices: rows in it.
        parts: first column and width of every part.
    """
    # The variable itself, never a tensor of its value: the read is a
    # ResourceGather and its gradient names the rows.
    with on_host():
        slot_by_slot = tf.transpose(indices)
    rows = tf.gather(variable, slot_by_slot)
    total, widths = int(rows.shape[2]), {width for _, width in parts}
    if len(parts) == 1 and parts[0] == (0, total):
        return [tf.transpose(rows, (1, 0, 2))]
    if len(widths) == 1 and sum(width for _, width in parts) == total:
        # One pass for all parts.
        cut = tf.reshape(rows, (rows.shape[0], -1, len(parts), widths.pop()))
        return tf.unstack(tf.transpose(cut, (2, 1, 0, 3)))
    return [tf.transpose(rows[:, :, at : at + width], (1, 0, 2)) for at, width in parts]


def checked_ids(ids: tf.Tensor, limits: np.ndarray, names: tuple[str, ...]) -> tf.Tensor:
    """`ids`, once each is known to lie in its table.

    In a stack, an id that is too large does not leave the variable: it reads a
    row of the next table, and no kernel would notice.

    Args:
        ids: integer (batch, slots).
        limits: (slots,) number of rows of the table that the slot's field reads.
        names: the fields of the slots.
    """
    with on_host():
        return _checked(ids, limits, names)


def _checked(ids: tf.Tensor, limits: np.ndarray, names: tuple[str, ...]) -> tf.Tensor:
    # As unsigned numbers the negative ones are the largest: one comparison finds both.
    unsigned = tf.uint32 if ids.dtype == tf.int32 else tf.uint64
    limit = tf.constant(limits.astype(unsigned.as_numpy_dtype))
    fine = tf.bitcast(ids[:, : len(names)], unsigned) < limit

    def report() -> tf.Operation:
        slot = tf.argmax(tf.reduce_any(~fine, axis=0))
        worst = tf.boolean_mask(ids[:, slot], ~fine[:, slot])[0]
        parts = [
            "Ids of feature '",
            tf.gather(tf.constant(list(names)), slot),
            "' must be in [0, ",
            tf.as_string(tf.gather(tf.constant(limits), slot)),
            "), the rows of its table. Received: ",
            tf.as_string(worst),
            ".",
        ]
        tf.debugging.Assert(False, [tf.strings.join(parts)])
        return tf.constant(False)

    with tf.control_dependencies([tf.cond(tf.reduce_all(fine), lambda: tf.constant(True), report)]):
        return tf.identity(ids)


def permute_columns(x: tf.Tensor, order: np.ndarray) -> tf.Tensor:
    """`x[:, order]` for a permutation; its gradient is the inverse permutation, not a scatter."""
    inverse = np.argsort(order).astype(np.int32)

    @tf.custom_gradient
    def permute(x):
        return tf.gather(x, order, axis=1), lambda dy: tf.gather(dy, inverse, axis=1)

    return permute(x)


def bag_coefficients(
    ids: tf.Tensor, weights: tf.Tensor | None, group: BagGroup, dtype: tf.DType
) -> tf.Tensor:
    """The weight of each row of a bag: (batch, fields, length), zero at padding.

    `mean`: `w / Σw`; `sqrtn`: `w / sqrt(Σw²)`; `sum`: `w`; zero for an empty bag.
    """
    here = take_columns(ids, group.slots) > 0
    if group.singles is not None:
        here |= np.repeat(group.singles, group.length)
    present = tf.cast(here, dtype)
    if group.weights is not None:
        if weights is None:
            raise ValueError(
                "A weighted bag needs `weights` (batch, weight slots). Received: weights=None."
            )
        # Bags of the group without weights read a column of ones.
        weights = tf.cast(weights, dtype)
        ones = tf.ones_like(weights[:, :1])
        columns = np.where(group.weights < 0, 0, group.weights + 1)
        present *= tf.gather(tf.concat([ones, weights], axis=1), columns, axis=1)
    w = tf.reshape(present, (-1, group.fields, group.length))
    kinds = set(group.combiners.tolist())
    if kinds != {1}:
        w = _combined(w, kinds, group.combiners)
    if group.factors is not None:
        w *= tf.constant(group.factors[None, :, None], dtype)
    return w


def _combined(w: tf.Tensor, kinds: set[int], combiners: np.ndarray) -> tf.Tensor:
    ones = tf.ones_like(w[:, :, :1])
    mean = tf.reduce_sum(w, axis=2, keepdims=True) if 0 in kinds else ones
    root = tf.sqrt(tf.reduce_sum(w * w, axis=2, keepdims=True)) if 2 in kinds else ones
    kind = combiners[None, :, None]
    return tf.math.divide_no_nan(w, tf.where(kind == 0, mean, tf.where(kind == 1, ones, root)))


def mean_of_hashes(rows: tf.Tensor, hashes: int) -> tf.Tensor:
    """(batch, hashes * length, width) rows → (batch, length, width), the mean of each value."""
    if hashes == 1:
        return rows
    apart = tf.reshape(rows, (-1, hashes, rows.shape[1] // hashes, rows.shape[2]))
    return tf.reduce_mean(apart, axis=1)


def reduce_bags(rows: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
    """(batch, fields * length, width) rows → (batch, fields, width)."""
    fields, length = coefficients.shape[1], coefficients.shape[2]
    rows = tf.reshape(rows, (-1, fields, length, rows.shape[-1]))
    coefficients = tf.stop_gradient(tf.cast(coefficients, rows.dtype))
    return tf.einsum("bfl,bflw->bfw", coefficients, rows)
