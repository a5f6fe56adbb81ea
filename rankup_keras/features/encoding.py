"""The preprocessing graph: pieces of TensorFlow code that turn columns into ids and floats."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features.numeric import Numeric
from rankup_keras.features.splitmix64 import STEP, splitmix64

CHUNK = 65_536


def hash_ids(
    values: tf.Tensor, buckets: Sequence[int], hashes: Sequence[int] | None = None
) -> tf.Tensor:
    """Ids of hashed columns, all at once: 0 for missing values, else `1 + hash(value) mod buckets`.

    A text is read once, whatever the number of hash functions: the first is its
    64-bit fingerprint, the others scramble the fingerprint.

    Args:
        values: string or int64 tensor (batch, columns).
        buckets: number of buckets of each column, or one number for all.
        hashes: number of hash functions of each column. Defaults to one each.

    Returns:
        int32 tensor (batch, columns), or with `hashes` (batch, sum of them).
    """
    if values.dtype == tf.string:
        missing, text = tf.equal(values, ""), values
    else:
        missing, text = tf.equal(values, -1), tf.strings.as_string(values)
    prints = tf.strings.to_hash_bucket_fast(text, np.iinfo(np.int64).max)
    if hashes is None or max(hashes) == 1:
        ids = 1 + tf.math.floormod(prints, tf.constant(list(buckets), tf.int64))
        return tf.cast(tf.where(missing, tf.zeros_like(ids), ids), tf.int32)
    columns = np.repeat(np.arange(len(hashes)), hashes)
    numbers = np.concatenate([np.arange(count) for count in hashes])
    prints, missing = (tf.gather(x, columns, axis=1) for x in (prints, missing))
    prints = tf.bitcast(prints, tf.uint64)
    # Each function after the first is a further number of the generator seeded with the print.
    states = prints + numbers.astype(np.uint64) * np.uint64(STEP)
    hashed = tf.where(numbers == 0, prints, splitmix64(states, tf.bitwise.right_shift))
    limits = np.broadcast_to(buckets, len(hashes))[columns].astype(np.uint64)
    ids = 1 + tf.cast(tf.math.floormod(hashed, limits), tf.int32)
    return tf.where(missing, tf.zeros_like(ids), ids)


def value_ids(values: tf.Tensor, buckets: int, hashes: int) -> tf.Tensor:
    """Ids of values of any shape in one table; of several hash functions along a last axis."""
    if hashes == 1:
        return hash_ids(values, [buckets])
    ids = hash_ids(tf.reshape(values, (-1, 1)), [buckets], [hashes])
    return tf.reshape(ids, tf.concat([tf.shape(values), [hashes]], axis=0))


def integer_ids(values: tf.Tensor, num_ids: int | Sequence[int]) -> tf.Tensor:
    """Int32 ids of integer columns: 0 missing (-1), 1 out of range, `2 + value` otherwise."""
    known = (values >= 0) & (values < tf.constant(num_ids, tf.int64))
    others = tf.where(tf.equal(values, -1), tf.zeros_like(values), tf.ones_like(values))
    ids = tf.where(known, values + 2, others)
    return tf.cast(ids, tf.int32)


def fixed_length(ids: tf.Tensor, length: int, keep: str) -> tf.Tensor:
    """Drops padding (id 0) wherever it is, keeps some ids, pads at the end.

    `keep="first"` keeps the first ids in their order, `"last"` the last ones, the last id first.

    (batch, any width) becomes (batch, length); the ids of several hash functions (batch, any
    width, hashes) become (batch, hashes * length), one function's after the other's.
    """
    if ids.shape.rank == 3:
        hashes = ids.shape[2]
        apart = tf.reshape(tf.transpose(ids, (2, 0, 1)), (-1, tf.shape(ids)[1]))
        fixed = tf.reshape(fixed_length(apart, length, keep), (hashes, -1, length))
        fixed = tf.reshape(tf.transpose(fixed, (1, 0, 2)), (-1, hashes * length))
        return tf.ensure_shape(fixed, (ids.shape[0], hashes * length))
    valid = tf.not_equal(ids, 0)
    counted = tf.cumsum(tf.cast(valid, tf.int32), axis=1)
    position = counted[:, -1:] - counted if keep == "last" else counted - 1
    # The slot behind the last one collects what is dropped.
    slot = tf.where(valid & (position < length), position, length)
    rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, None], tf.shape(ids))
    indices = tf.stack([rows, slot], axis=-1)
    shape = tf.stack([tf.shape(ids)[0], length + 1])
    fixed = tf.tensor_scatter_nd_update(tf.zeros(shape, ids.dtype), indices, ids)
    # TPUs want to know how many rows there are.
    return tf.ensure_shape(fixed[:, :length], (ids.shape[0], length))


def centered(values: tf.Tensor, feature: Numeric, mean: float) -> tf.Tensor:
    """A column as float32; of a float64 one what lies above the mean, in which seconds count."""
    if feature.dtype != "float64":
        return tf.cast(values, tf.float32)
    if feature.normalize == "log":
        values = tf.sign(values) * tf.math.log1p(tf.abs(values))
    return tf.cast(values - mean, tf.float32)


def encode_numeric(
    values: tf.Tensor, features: Sequence[Numeric], mean: np.ndarray, std: np.ndarray
) -> tf.Tensor:
    """Normalized values, then the missing-value indicators of the features that want one.

    Args:
        values: float32 tensor (batch, numeric features), those of float64 ones `centered`.
        features: their descriptions, in the same order.
        mean: array (numeric features,), after the logarithm where there is one.
        std: array (numeric features,), standard deviations.
    """
    finite = tf.math.is_finite(values)
    values = tf.where(finite, values, tf.zeros_like(values))
    wide = np.array([feature.dtype == "float64" for feature in features])
    mean = np.where(wide, 0.0, mean)
    logs = ~wide & [feature.normalize == "log" for feature in features]
    if logs.any():
        values = tf.where(logs, tf.sign(values) * tf.math.log1p(tf.abs(values)), values)
    # The mean in two parts: rounded to float32, that of large numbers would be off by a good
    # part of a small standard deviation.
    coarse = mean.astype(np.float32)
    values = (values - coarse) - (mean - coarse).astype(np.float32)
    values /= std.astype(np.float32)
    clip = np.array([np.inf if f.clip is None else f.clip for f in features], np.float32)
    values = tf.clip_by_value(values, -clip, clip)
    values = tf.where(finite, values, tf.zeros_like(values))
    marked = [index for index, feature in enumerate(features) if feature.indicator]
    if not marked:
        return values
    missing = tf.cast(~finite, tf.float32)
    if len(marked) < len(features):
        missing = tf.gather(missing, marked, axis=1)
    return tf.concat([values, missing], axis=1)


def clean_vectors(vectors: tf.Tensor) -> tf.Tensor:
    """Pretrained vectors with those that hold a NaN or infinity set to zero (missing)."""
    usable = tf.reduce_all(tf.math.is_finite(vectors), axis=1, keepdims=True)
    return tf.where(usable, vectors, tf.zeros_like(vectors))


def in_chunks(
    encode: Callable[[dict[str, tf.Tensor]], Mapping[str, tf.Tensor]],
    raw: Mapping[str, Any],
    spec: Mapping[str, tf.TensorSpec],
) -> dict[str, np.ndarray]:
    """Encodes arrays of any length, some rows at a time, fewer where their lists are long."""
    rows = len(next(iter(raw.values())))
    widest = max(value.shape[1] if value.ndim == 2 else 1 for value in raw.values())
    step = max(1, CHUNK // max(1, widest // 64))
    chunks = []
    for start in range(0, max(rows, 1), step):
        part = {
            name: tf.constant(value[start : start + step], spec[name].dtype)
            for name, value in raw.items()
        }
        chunks.append({name: tensor.numpy() for name, tensor in encode(part).items()})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def fixed_length_rows(ids: np.ndarray, lengths: np.ndarray, length: int, keep: str) -> np.ndarray:
    """`fixed_length` of concatenated lists: their ids, (ids,) or (ids, hashes), and lengths."""
    if ids.ndim == 2:
        parts = [fixed_length_rows(own, lengths, length, keep) for own in ids.T]
        return np.concatenate(parts, axis=1)
    rows = np.repeat(np.arange(len(lengths)), lengths)[ids != 0]
    ids = ids[ids != 0]
    counts = np.bincount(rows, minlength=len(lengths))
    position = np.arange(len(ids)) - np.repeat(np.cumsum(counts) - counts, counts)
    if keep == "last":
        position = counts[rows] - 1 - position
    kept = position < length
    fixed = np.zeros((len(lengths), length), np.int32)
    fixed[rows[kept], position[kept]] = ids[kept]
    return fixed
