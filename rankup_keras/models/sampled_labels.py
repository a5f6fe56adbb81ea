"""Labels of tasks whose negatives were thinned out: each travels with the rate of its row."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

MANY = 100  # positive rows; fewer may all be of features that were not sampled


def with_rates(
    labels: Mapping[str, Any],
    rates: Mapping[str, float | str],
    given: Any,
    columns: Mapping[str, Any],
) -> dict[str, Any]:
    """Labels of which those of sampled tasks have the rate beside them, float32 (rows, 2).

    Args:
        labels: task name → float32 (rows, 1).
        rates: task name → the rate, or the column of it.
        given: labels as they came, among which the column may be.
        columns: the columns of the same rows.

    Raises:
        ValueError: a column is missing, or a rate is not in (0, 1].
    """
    found = dict(labels)
    for name, rate in rates.items():
        label = found[name]
        if isinstance(rate, str):
            source = given if isinstance(given, Mapping) and rate in given else columns
            if rate not in source:
                raise ValueError(
                    f"`keep_rate` of task {name!r} names the column {rate!r}, which rows with "
                    "labels must have: 1 where all negatives were kept. Received columns: "
                    f"{sorted(columns)}."
                )
            rates_of_rows = _checked(name, rate, source[rate])
        elif tf.is_tensor(label):
            rates_of_rows = tf.fill(tf.shape(label), np.float32(rate))
        else:
            rates_of_rows = np.full_like(label, rate)
        if tf.is_tensor(label):
            found[name] = tf.concat([label, rates_of_rows], axis=1)
        elif len(label) != len(rates_of_rows):
            raise ValueError(
                f"`keep_rate` of task {name!r} must be one per row. Received {len(rates_of_rows)} "
                f"for {len(label)} rows."
            )
        else:
            warn_of_own_rates(name, label, rates_of_rows)
            found[name] = np.concatenate([label, rates_of_rows], axis=1)
    return found


def _checked(name: str, column: str, rates: Any) -> Any:
    # No quotes: TensorFlow would escape them.
    rule = f"`keep_rate` of task {name}, column {column}, must lie in (0, 1]. Received"
    if tf.is_tensor(rates) and tf.inside_function():
        rates = tf.cast(rates, tf.float32)
        fine = tf.reduce_all((rates > 0) & (rates <= 1))
        with tf.control_dependencies([tf.debugging.Assert(fine, [f"{rule}:", rates])]):
            return tf.reshape(rates, (-1, 1))
    try:
        array = known_numbers(rates).reshape(-1, 1)
    except (TypeError, ValueError):
        raise TypeError(f"{rule}: {rates!r:.80}.") from None
    wrong = np.flatnonzero(~((array > 0) & (array <= 1)))
    if len(wrong):
        raise ValueError(
            f"{rule} {len(wrong)} others, such as {array[wrong[0], 0]} in row {wrong[0]}."
        )
    return array


def known_numbers(values: Any) -> np.ndarray:
    """Numbers, float32, NaN where they are masked: `np.asarray` gives what lies behind the mask."""
    if np.ma.isMaskedArray(values):
        return np.ma.filled(values.astype(np.float32), np.nan)
    if getattr(getattr(values, "dtype", None), "kind", "f") in "mMc":
        raise TypeError("times and complex numbers are none")  # NumPy would cast them
    return np.asarray(values, dtype=np.float32)


def warn_of_own_rates(name: str, label: np.ndarray, rates: np.ndarray) -> None:
    """Warns where the rates are each row's own, 1 for positives, and correct for nothing."""
    positive, negative = label == 1, label == 0
    if positive.sum() < MANY or not negative.any():
        return
    if rates[positive].min() == 1 and rates[negative].max() < 1:
        warnings.warn(
            f"`keep_rate` of task {name!r} is 1 in all positive rows and less in all negative "
            "ones. It must be the rate at which a negative with the same features would have been "
            "kept, in positive rows too, or predictions are too high.",
            stacklevel=2,
        )


def without_rates(labels: Any) -> tuple[Any, dict[str, Any]]:
    """Labels (rows, 1), and by task the rates (rows, 1) that stood beside them."""
    if not isinstance(labels, Mapping):
        return labels, {}
    rates = {name: y[:, 1:] for name, y in labels.items() if len(y.shape) > 1 and y.shape[1] == 2}
    return {name: y[:, :1] if name in rates else y for name, y in labels.items()}, rates


def among_kept(predictions: Any, rates: Mapping[str, Any]) -> Any:
    """Probabilities of rows that were kept: `logit(q) = logit(p) - log(rate)`.

    Those of heads on lower blocks, named `.../task`, as well.
    """
    if not rates:
        return predictions
    found = dict(predictions)
    for name, p in predictions.items():
        rate = rates.get(name.rsplit("/", 1)[-1])
        if rate is not None:
            found[name] = p / (p + ops.cast(rate, p.dtype) * (1 - p))
    return found


def weights_of_all(label: Any, rates: Any) -> Any:
    """How many rows of all each row that was kept stands for: a negative for `1 / rate`."""
    return label + (1 - label) / rates
