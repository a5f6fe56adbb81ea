"""The columns of a log: times, whose rows they are, and what they are of."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.features.conversion import decoded
from rankup_keras.features.target import family


def row_times(times: Any, name: str = "`times`") -> np.ndarray:
    """Times (rows,) as numbers or as NumPy's instants, which sort as they should.

    Args:
        times: numbers, or dates with times, of any library.
        name: what errors call them.

    Raises:
        ValueError: a row has no time, or there are several columns.
        TypeError: they are text, which sorts by its letters, or something else.
    """
    column = row_column(times, name)
    kind = column.type
    number, date = family(kind) in ("integer", "number"), pa.types.is_date(kind)
    if not (number or date or pa.types.is_timestamp(kind) or pa.types.is_null(kind)):
        raise TypeError(
            f"{name} must be numbers or dates with times; `pandas.to_datetime` reads text. "
            f"Received {kind}, such as {column.drop_null()[0]}."
        )
    unknown = _missing(column)
    if unknown.any():
        raise ValueError(
            f"{name} must be known of every row. {unknown.sum()} of {len(column)} are missing, "
            f"the first in row {np.argmax(unknown)}."
        )
    return np.zeros(0) if pa.types.is_null(kind) else column.to_numpy(zero_copy_only=False)


def row_groups(groups: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A number (rows,) for each row's group, and which rows have one; the others are alone."""
    column = row_column(groups, name)
    known = ~_missing(column)
    if family(column.type) == "text":
        known &= ~np.asarray(pc.equal(column.cast(pa.binary()), b"").fill_null(True))
    numbers = column.dictionary_encode("encode").indices.to_numpy().astype(np.int64)
    numbers[~known] = len(column) + np.arange(len(column) - known.sum())
    return numbers, known


def row_flags(flags: Any, name: str) -> np.ndarray:
    """Booleans (rows,) of booleans, or of numbers that are 0 or 1.

    Raises:
        ValueError: one is something else, or missing.
    """
    column = row_column(flags, name)
    numbers = family(column.type) in ("integer", "number", "null")
    found = np.full(len(column), np.nan)
    if numbers:
        column = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
        found = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(~np.isin(found, (0, 1)))
    if len(wrong):
        raise ValueError(
            f"{name} must be 0 or 1, or a boolean, in every row. Received {column[int(wrong[0])]} "
            f"in row {wrong[0]}."
        )
    return found == 1


def row_values(values: Any, name: str) -> np.ndarray:
    """Text or integers (rows,) as text, empty where they are missing.

    Raises:
        TypeError: they are floats, whose text "1.0" is that of no id, or something else.
    """
    column = row_column(values, name)
    if family(column.type) not in ("text", "integer", "null"):
        raise TypeError(f"{name} must be text or integers. Received {column.type}.")
    return column.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False).astype(str)


def row_column(values: Any, name: str) -> pa.Array:
    """One value per row, not dictionary-encoded, in one piece."""
    if getattr(values, "ndim", 1) != 1:
        raise ValueError(f"{name} must be one value per row. Received shape {values.shape}.")
    try:
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array(values, from_pandas=True)
        if isinstance(values, pa.ChunkedArray):
            # Decoded first: pyarrow joins no dictionaries that hold a null.
            chunks = [decoded(chunk) for chunk in values.chunks]
            values = pa.chunked_array(chunks, None if chunks else values.type).combine_chunks()
        return decoded(values)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise TypeError(f"{name} must be values of one type: {error}") from None


def _missing(column: pa.Array) -> np.ndarray:
    return np.asarray(pc.is_null(column, nan_is_null=True))
