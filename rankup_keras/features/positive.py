"""Which values of a label's column are positive: ratings, words, counts → 0 and 1."""

import math
import operator
import re
from collections.abc import Callable
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

# Marks of a missing value where words are compared.
NO_VALUE = ("", "\\N")
_BOOLEANS = {"true": 1.0, "false": 0.0}


class Positive:
    """The rule that tells which values of a column are positive; others are negative.

    A missing value stays missing, so that it is never taken for a negative one.

    Args:
        rule: a comparison with a number such as `">= 4"`; or a value, or a list of values, which
            are compared as text, in a column of numbers as numbers, in one of booleans as
            true (1) and false (0) of any case.
        task: name of the task, for messages.

    Raises:
        ValueError: neither; or, once a column comes, a rule that fits no value of its type.
    """

    def __init__(self, rule: Any, task: str | None = None) -> None:
        if isinstance(rule, np.generic):
            rule = rule.item()
        elif isinstance(rule, list | tuple):
            rule = [v.item() if isinstance(v, np.generic) else v for v in rule]
        self._name = "`positive`" if task is None else f"`positive` of task {task!r}"
        form = _FORM.fullmatch(rule.strip()) if isinstance(rule, str) else None
        self.rule = rule
        self._compare = None if form is None else _COMPARE[form[1]]
        self._bound = 0.0 if form is None else float(form[2])
        values = rule if isinstance(rule, list) else [rule]
        # True would be text in one file and 1 in another; v != v is NaN, which is missing.
        kinds = (str, int, float)
        wrong = any(type(v) not in kinds or v != v or str(v).strip() in NO_VALUE for v in values)
        if wrong or not values:
            raise ValueError(
                f"{self._name} must be a comparison with a number such as '>= 4', or a value or a "
                f"list of values such as 'yes'. Received: positive={rule!r}."
            )
        if form is None and isinstance(rule, str) and rule.strip()[0] in "<>=":
            raise ValueError(
                f"{self._name} compares with a number by >=, >, <= or <. Received: {rule!r}."
            )
        self._texts = [str(value).strip() for value in values]
        self._numbers = [number for number in map(_number, self._texts) if number is not None]

    def __repr__(self) -> str:
        return f"Positive({self.rule!r})"

    def check_type(self, kind: pa.DataType) -> None:
        """Refuses a column of numbers or booleans no value of which can be positive.

        Raises:
            ValueError: it is one.
        """
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if family(kind) not in ("integer", "number"):
            return
        whole, low, high = family(kind) == "integer", -math.inf, math.inf
        if pa.types.is_boolean(kind):
            low, high = 0, 1
        elif pa.types.is_integer(kind):
            limits = np.iinfo(kind.to_pandas_dtype())
            low, high = int(limits.min), int(limits.max)
        if self._compare is not None:
            fits = self._compare(low, self._bound) or self._compare(high, self._bound)
        else:
            numbers = self._numbers_in(pa.types.is_boolean(kind))
            fits = any(low <= n <= high and (not whole or n.is_integer()) for n in numbers)
        if not fits:
            raise ValueError(
                f"{self._name} must fit values of the column, whose type is {kind}; none of that "
                f"type can be positive by positive={self.rule!r}."
            )

    def of_arrow(self, array: pa.Array) -> tuple[pa.Array, list[Problem]]:
        """The labels of a column, float64, null where the value is missing; and what is no number.

        Args:
            array: single values, as they were read.
        """
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        self.check_type(array.type)
        numeric = family(array.type) in ("integer", "number")
        if self._compare is None and not numeric:
            text = _text(array)
            found = pc.is_in(text, pa.array(self._texts, pa.string()))
            return pc.if_else(pc.is_valid(text), found, None).cast(pa.float64()), []
        numbers, problems = (array, []) if numeric else _parsed(_text(array))
        boolean = pa.types.is_boolean(numbers.type)
        if boolean:
            numbers = numbers.cast(pa.int8())
        values = numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        labels = np.where(np.isnan(values), np.nan, self._of_numbers(np, values, boolean))
        return pa.array(labels, pa.float64(), from_pandas=True), problems

    def __call__(self, values: Any) -> Any:
        """The labels of a column in memory, float32 (rows,); a tensor of a tensor.

        Args:
            values: the column, (rows,) or (rows, 1).
        """
        if tf.is_tensor(values):
            return self._of_tensor(values)
        shape = getattr(values, "shape", (1,))
        if len(shape) > 1:
            if shape[1:] != (1,):
                raise ValueError(
                    f"Labels with {self._name} must have shape (rows,) or (rows, 1). "
                    f"Received shape {shape}."
                )
            values = np.reshape(values, -1)
        array = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
        if (
            pa.types.is_list(array.type)
            and pc.all(pc.equal(pc.list_value_length(array), 1)).as_py()
        ):
            array = array.flatten()
        labels, problems = self.of_arrow(array)
        if problems:
            raise ValueError(f"Row {problems[0].row}: {problems[0].reason}")
        return labels.to_numpy(zero_copy_only=False).astype(np.float32)

    def _of_tensor(self, values: tf.Tensor) -> tf.Tensor:
        if values.dtype == tf.string:
            values = tf.strings.strip(values)
            marks = NO_VALUE if self._compare is None else NO_NUMBER
            missing = tf.reduce_any(values[..., None] == tf.constant(marks), axis=-1)
            if self._compare is None:
                found = tf.reduce_any(values[..., None] == tf.constant(self._texts), axis=-1)
                return tf.where(missing, np.nan, tf.cast(found, tf.float32))
            values = tf.strings.to_number(tf.where(missing, "nan", values), tf.float64)
        boolean = values.dtype.is_bool
        if boolean or values.dtype.is_integer:
            self.check_type(pa.from_numpy_dtype(values.dtype.as_numpy_dtype))
        else:
            self.check_type(pa.float64())
        values = tf.cast(values, tf.float64)
        found = tf.cast(self._of_numbers(tf, values, boolean), tf.float32)
        return tf.where(tf.math.is_nan(values), np.float32(np.nan), found)

    def _of_numbers(self, module: Any, values: Any, boolean: bool) -> Any:
        if self._compare is not None:
            return self._compare(values, self._bound)
        numbers = self._numbers_in(boolean)
        if module is np:
            return np.isin(values, numbers)
        return tf.reduce_any(values[..., None] == tf.constant(numbers, tf.float64), axis=-1)

    def _numbers_in(self, boolean: bool) -> list[float]:
        words = [_BOOLEANS[t.lower()] for t in self._texts if boolean and t.lower() in _BOOLEANS]
        return self._numbers + words


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(array: pa.Array) -> pa.Array:
    text = array.cast(pa.binary()).cast(pa.string()) if family(array.type) == "text" else array
    text = pc.utf8_trim_whitespace(text.cast(pa.string()))
    return pc.if_else(pc.is_in(text, pa.array(NO_VALUE)), None, text)


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
