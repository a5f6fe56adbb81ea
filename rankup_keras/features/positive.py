"""Which values of a label's column are positive: ratings, words, counts → 0 and 1."""

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from rankup_keras.features.conversion import NO_NUMBER, show
from rankup_keras.features.target import Problem, family

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"(>=|<=|>|<)\s*([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?)")


class Positive:
    """The rule that tells which values of a column are positive; others are negative.

    A missing value stays missing, so that it is never taken for a negative one.

    Args:
        rule: a comparison with a number such as `">= 4"`; or a value, or a list of values, which
            are compared as text, in a column of numbers as numbers.

    Raises:
        ValueError: neither.
    """

    def __init__(self, rule: Any) -> None:
        form = _FORM.fullmatch(rule.strip()) if isinstance(rule, str) else None
        self.rule = rule
        self._compare = None if form is None else _COMPARE[form[1]]
        self._bound = 0.0 if form is None else float(form[2])
        values = [rule] if isinstance(rule, str | int | float) else rule
        sound = isinstance(values, Sequence) and len(values) > 0
        # True would be text in one file and 1 in another.
        kinds = (str, int, float)
        if not sound or any(type(v) not in kinds or v == "" for v in values):
            raise ValueError(
                "`positive` must be a comparison with a number such as '>= 4', or a value or a "
                f"list of values such as 'yes'. Received: positive={rule!r}."
            )
        if form is None and isinstance(rule, str) and rule.strip()[0] in "<>=":
            raise ValueError(
                f"`positive` compares with a number by >=, >, <= or <. Received: {rule!r}."
            )
        self._texts = [str(value) for value in values]
        self._numbers = [number for number in map(_number, self._texts) if number is not None]

    def __repr__(self) -> str:
        return f"Positive({self.rule!r})"

    def of_arrow(self, array: pa.Array) -> tuple[pa.Array, list[Problem]]:
        """The labels of a column, float64, null where the value is missing; and what is no number.

        Args:
            array: single values, as they were read.
        """
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        numeric = family(array.type) in ("integer", "number")
        if self._compare is None and not numeric:
            text = _text(array)
            found = pc.is_in(text, pa.array(self._texts, pa.string()))
            return pc.if_else(pc.is_valid(text), found, None).cast(pa.float64()), []
        numbers, problems = (array, []) if numeric else _parsed(_text(array))
        if pa.types.is_boolean(numbers.type):
            numbers = numbers.cast(pa.int8())
        values = numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        labels = np.where(np.isnan(values), np.nan, self._of_numbers(np, values))
        return pa.array(labels, pa.float64(), from_pandas=True), problems

    def __call__(self, values: Any) -> Any:
        """The labels of a column in memory, float32 (rows,); a tensor of a tensor."""
        if tf.is_tensor(values):
            return self._of_tensor(values)
        array = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
        labels, problems = self.of_arrow(array)
        if problems:
            raise ValueError(f"Row {problems[0].row}: {problems[0].reason}")
        return labels.to_numpy(zero_copy_only=False).astype(np.float32)

    def _of_tensor(self, values: tf.Tensor) -> tf.Tensor:
        if values.dtype == tf.string:
            values = tf.strings.strip(values)
            missing = tf.equal(values, "")
            if self._compare is None:
                found = tf.reduce_any(values[..., None] == tf.constant(self._texts), axis=-1)
                return tf.where(missing, np.nan, tf.cast(found, tf.float32))
            values = tf.strings.to_number(tf.where(missing, "nan", values), tf.float64)
        values = tf.cast(values, tf.float64)
        found = tf.cast(self._of_numbers(tf, values), tf.float32)
        return tf.where(tf.math.is_nan(values), np.float32(np.nan), found)

    def _of_numbers(self, module: Any, values: Any) -> Any:
        if self._compare is not None:
            return self._compare(values, self._bound)
        if module is np:
            return np.isin(values, self._numbers)
        return tf.reduce_any(values[..., None] == tf.constant(self._numbers, tf.float64), axis=-1)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(array: pa.Array) -> pa.Array:
    text = array.cast(pa.binary()).cast(pa.string()) if family(array.type) == "text" else array
    text = pc.utf8_trim_whitespace(text.cast(pa.string()))
    return pc.if_else(pc.is_in(text, pa.array(["", "\\N"])), None, text)


def _parsed(text: pa.Array) -> tuple[pa.Array, list[Problem]]:
    """Text as numbers, and the values that are none."""
    text = pc.if_else(pc.is_in(text, pa.array(NO_NUMBER)), None, text)
    try:
        return text.cast(pa.float64()), []
    except pa.ArrowInvalid:
        values = text.to_pylist()
    numbers = [None if value is None else _number(value) for value in values]
    problems = [
        Problem(row, value, f"{show(value)} is not a number.")
        for row, value in enumerate(values)
        if value is not None and numbers[row] is None
    ]
    return pa.array(numbers, pa.float64()), problems
