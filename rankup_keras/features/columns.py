"""Raw columns as users hold them in memory → columns of the types that the features declare."""

import decimal
import numbers
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from rankup_keras.features.alignment import in_other_order, misaligned
from rankup_keras.features.column_forms import plain_column
from rankup_keras.features.conversion import convert, decoded, plain_lists, show
from rankup_keras.features.instants import dates_as_times
from rankup_keras.features.target import ARROW, PADDING, Target, family, missing_columns_error
from rankup_keras.features.tensors import check_dataset_spec, dataset_columns

# Rows of a column in memory that are converted at once.
ROWS = 1 << 20


def as_mapping(data: Any) -> Mapping[str, Any]:
    """A dict of columns from a dict, a pandas frame, a pyarrow table or one that Arrow can read."""
    if isinstance(data, Mapping):
        return data
    if isinstance(data, pa.Table | pa.RecordBatch):
        return _Columns(data.column_names, data.column)
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        if data.columns.nlevels > 1:
            raise ValueError(
                f"A column must have one name. Received a MultiIndex, as in {data.columns[0]!r}. "
                "Join its levels first: `rows.columns = rows.columns.map('_'.join)`."
            )
        return _Columns(map(str, data.columns), lambda place: data.iloc[:, place])
    if hasattr(data, "__arrow_c_stream__") and hasattr(data, "columns"):  # as of polars
        return as_mapping(pa.table(data))
    way = ""
    if isinstance(data, str | os.PathLike):
        way = " Files are read by pandas, or by `rk.data.Files`."
    elif isinstance(data, tf.distribute.DistributedDataset):
        way = " `fit` shares a tf.data.Dataset among a strategy's replicas by itself."
    elif isinstance(data, list | np.ndarray):
        way = " `pandas.DataFrame(rows)` gives columns their names."
    raise TypeError(
        "Raw rows must be a dict of columns, a pandas or polars DataFrame, a pyarrow Table or a "
        f"tf.data.Dataset of dicts. Received: {type(data).__name__}.{way}"
    )


class _Columns(Mapping[str, Any]):
    """Columns by name, of which none is taken that is there twice."""

    def __init__(self, names: Iterable[str], column: Callable[[int], Any]) -> None:
        self._places: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            self._places.setdefault(name, []).append(place)
        self._column = column

    def __getitem__(self, name: str) -> Any:
        places = self._places[name]
        if len(places) > 1:
            raise ValueError(
                f"Column {name!r} is there {len(places)} times, as a join leaves it. Rename or "
                "drop the others."
            )
        return self._column(places[0])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def convert_columns(
    data: Any, spec: dict[str, tf.TensorSpec], targets: Mapping[str, Target] | None = None
) -> dict[str, Any]:
    """Converts the columns that `spec` names, checks their types and equal lengths.

    Args:
        data: dict of columns (arrays, lists, dense, ragged or sparse tensors),
            pandas frame or pyarrow table. Other columns are left out.
        spec: name → `tf.TensorSpec`, see `FeatureSet.raw_spec`.
        targets: see `FeatureSet.targets`. Defaults to those of `spec`.

    Returns:
        dict name → NumPy array (object arrays of bytes for strings).

    Raises:
        ValueError: a column is missing, or has a wrong length or shape.
        TypeError: a column has another type than its feature declares.
    """
    targets = targets or {name: Target.of_spec(item) for name, item in spec.items()}
    converted = arrow_columns(data, targets)
    result = {name: _dense(chunks, targets[name]) for name, chunks in converted.items()}
    for name, array in result.items():
        if not spec[name].shape.is_compatible_with(array.shape):  # a fixed number of rows or values
            raise ValueError(
                f"Column {name!r} must have shape {spec[name].shape}. Received shape {array.shape}."
            )
    return result


def arrow_columns(data: Any, targets: Mapping[str, Target]) -> dict[str, list[pa.Array]]:
    """What `convert_columns` does, in pyarrow's form: each column in one array or several."""
    columns = as_mapping(data)
    missing = [name for name in targets if name not in columns]
    if missing:
        raise missing_columns_error(missing, [str(name) for name in columns])
    _check_order({name: columns[name] for name in targets} if isinstance(data, dict) else {})
    result = {name: arrow_column(columns[name], target) for name, target in targets.items()}
    lengths = {name: sum(map(len, chunks)) for name, chunks in result.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Columns must have equal length. Received lengths: {lengths}.")
    lists = {t: result[name] for name, t in targets.items() if t.aligned and t.shape == "list"}
    widths = {t: np.concatenate([_lengths(x) for x in chunks]) for t, chunks in lists.items()}
    for target, problem in misaligned(widths)[:1]:
        raise ValueError(f"Column {target.name!r}, row {problem.row}: {problem.reason}")
    return result


def _check_order(columns: Mapping[str, Any]) -> None:
    """Refuses series of the same rows in different orders, which a frame would align."""
    indexes = {n: c.index for n, c in columns.items() if hasattr(getattr(c, "index", 0), "equals")}
    first = next(iter(indexes), "")
    for name, index in indexes.items():
        if in_other_order(indexes[first], index):
            raise ValueError(
                f"Columns {first!r} and {name!r} are series whose indexes name the same rows in "
                "different orders. `pandas.DataFrame(columns)` puts them in one order; "
                "`.to_numpy()` says that they are in it."
            )


def _lengths(array: pa.Array) -> np.ndarray:
    return pc.list_value_length(array).to_numpy()


def convert_column(value: Any, spec: tf.TensorSpec) -> np.ndarray:
    """One column as an array of the dtype and rank that `spec` declares."""
    target = Target.of_spec(spec)
    return _dense(arrow_column(value, target), target)


def arrow_column(value: Any, target: Target) -> list[pa.Array]:
    """One column in the type of its target, in several arrays where it is long."""
    result, first = [], 0
    for part in _parts(value, target):
        array = plain_lists(_as_arrow(part, target)) if len(part) else pa.nulls(0)
        if target.shape == "single" and family(array.type).startswith("list of "):
            array = _unlisted(array)
        others = ("number", "text") if target.shape != "single" else ("number",)
        mistaken = target.shape != "single" or target.kind == "string"
        if mistaken and family(array.type) in others and _is_empty(array):
            array = pa.nulls(len(array))  # as pandas has text and lists that are missing everywhere
        try:
            target.check_type(array.type)
        except (TypeError, ValueError) as error:
            raise type(error)(f"Column {target.name!r} {error}{_example(array)}") from None
        converted, problems = convert(array, target)
        for problem in problems[:1]:
            raise problem.error(
                f"Column {target.name!r}, row {first + problem.row}: {problem.reason}"
            )
        result.append(converted)
        first += len(part)
    return result


def _example(array: pa.Array) -> str:
    """The first value of a column of text: what is in the way of reading it as something else."""
    values = decoded(array).drop_null()
    text = len(values) and family(values.type) == "text"
    return f" The first value is {show(values[0].as_py())}." if text else ""


def _is_empty(array: pa.Array) -> bool:
    if pa.types.is_dictionary(array.type):
        return not len(array.dictionary)
    return bool(pc.all(pc.is_null(array, nan_is_null=True)).as_py())


def _unlisted(array: pa.Array) -> pa.Array:
    """Lists of at most one value as the values, null where there is none; others as they are."""
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    if lengths.max(initial=0) > 1:
        return array
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    return array.flatten().take(pa.array(np.cumsum(lengths) - lengths, mask=lengths == 0))


def _parts(value: Any, target: Target) -> list[Any]:
    """A column of any library as lists or arrays of rows, small enough for pyarrow's text."""
    value = plain_column(value, target)
    if isinstance(value, pa.ChunkedArray) and value.num_chunks:
        return list(value.chunks)
    return [value[start : start + ROWS] for start in range(0, max(len(value), 1), ROWS)]


def _as_arrow(rows: Any, target: Target) -> pa.Array:
    """Rows in the type that they have, missing values null or NaN."""
    if isinstance(rows, pa.Array):
        return rows
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        return _lists(np.full(len(rows), rows.shape[1]), rows.ravel(), target)
    if isinstance(rows, np.ndarray) and rows.dtype != object:
        return _flat(rows, target)
    first = next((row for row in rows if not is_missing(row)), None)
    if first is None or (target.shape == "single" and not _is_list(first)):
        return _flat(rows, target)
    rows = [() if is_missing(row) else row for row in rows]
    for row in rows:
        if not _is_list(row):
            raise TypeError(
                f"Column {target.name!r} is multi-valued: every row must be a list of values. "
                f"Received a row of type {type(row).__name__}: {row!r:.80}."
            )
    return _lists([len(row) for row in rows], [item for row in rows for item in row], target)


def _is_list(item: Any) -> bool:
    # Of a mapping the values would be lost, and a set has no order to cut it in.
    return hasattr(item, "__len__") and not isinstance(item, str | bytes | Mapping | Set | np.void)


def _lists(lengths: Any, values: Any, target: Target) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return pa.LargeListArray.from_arrays(pa.array(offsets), _flat(values, target))


def _flat(values: Any, target: Target) -> pa.Array:
    """Single values; those of an array have its type, objects the type that holds all of them."""
    objects = not isinstance(values, np.ndarray) or values.dtype == object
    if not objects and values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] in "YMWhm":
        values = values.astype("datetime64[s]")  # which pyarrow knows
    if objects and target.unit is not None:
        values, odd = dates_as_times(values)
        if odd is not None:
            raise TypeError(f"Column {target.name!r} {target.wrong_type(f'{odd!r} among dates')}")
    wanted = pa.binary() if objects and target.kind == "string" else None
    try:
        array = pa.array(values, wanted, from_pandas=objects)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        array = None
    if array is None or (objects and target.kind == "int64" and family(array.type) == "number"):
        # Numbers of several types, for which no type of pyarrow has room, text that is no UTF-8,
        # or a wrong value.
        wide = pa.float64() if target.kind == "float32" else ARROW[target.kind]
        return pa.array([_exact(item, target) for item in values], wide)
    return array


def _exact(item: Any, target: Target) -> Any:
    if is_missing(item):
        return None
    good: Any = (str, bytes)
    if target.kind != "string":
        good = (numbers.Real, decimal.Decimal, np.bool_)  # a complex number has two parts
    try:
        if isinstance(item, good):
            if isinstance(item, str):
                return item.encode("utf-8", "surrogatepass")
            if target.kind != "int64":
                return item if target.kind == "string" else float(item)
            low, high = (-(2**53) + 1, 2**53) if isinstance(item, float) else (-(2**63), 2**63)
            if int(item) == item and low <= item < high:
                return int(item)
    except (TypeError, OverflowError):
        pass
    if _is_list(item):
        raise ValueError(f"Column {target.name!r} {target.not_single(show(item))}")
    wrong = target.wrong_type(f"{show(item)} of type {type(item).__name__}")
    raise TypeError(f"Column {target.name!r} {wrong}")


def _dense(arrays: list[pa.Array], target: Target) -> np.ndarray:
    """Converted rows as one NumPy array, lists padded to the longest."""
    if target.shape == "vector":
        flat = [array.flatten().to_numpy(zero_copy_only=False) for array in arrays]
        return np.concatenate(flat).reshape(-1, target.dim)
    if target.shape == "single":
        parts = [array.to_numpy(zero_copy_only=False) for array in arrays]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
    lengths = np.concatenate([pc.list_value_length(array).to_numpy() for array in arrays])
    values = np.concatenate([array.flatten().to_numpy(zero_copy_only=False) for array in arrays])
    width = int(lengths.max(initial=0))
    if (lengths == width).all():
        return values.reshape(len(lengths), width)
    padded = np.full((len(lengths), width), PADDING[target.kind], values.dtype)
    padded[np.arange(width) < lengths[:, None]] = values
    return padded


def batches(data: Any, targets: Mapping[str, Target]) -> Iterator[dict[str, list[pa.Array]]]:
    """`arrow_columns` batch by batch, of a dataset, of arrays, or of `(columns, labels)`."""
    if not isinstance(data, tf.data.Dataset):
        yield arrow_columns(data[0] if isinstance(data, tuple) else data, targets)
        return
    columns = dataset_columns(data)
    check_dataset_spec(columns, {name: target.spec() for name, target in targets.items()})
    if int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "The dataset repeats without end, so `adapt` would never return. "
            "Adapt to it before `.repeat()`, or to `dataset.take(n)`."
        )
    for item in data:
        yield arrow_columns(item[0] if isinstance(item, tuple) else item, targets)


def check_types(data: Any, targets: Mapping[str, Target]) -> None:
    """Checks the types of the columns of `targets` that data have, by their first rows."""
    if isinstance(data, tf.data.Dataset):
        element = dataset_columns(data)
        check_dataset_spec(element, {n: t.spec() for n, t in targets.items() if n in element})
        return
    table = as_mapping(data[0] if isinstance(data, tuple) else data)
    for name, target in targets.items():
        if name in table and not isinstance(table[name], tf.SparseTensor):
            column = table[name]
            whole = not getattr(column, "ndim", 1) or not hasattr(column, "__len__")
            arrow_column(column if whole else column[:100], target)


def is_integer_column(data: Any, name: str) -> bool:
    """Whether a column of a dataset or of arrays holds integers, without reading it through."""
    if isinstance(data, tf.data.Dataset):
        spec = dataset_columns(data).get(name)
        return spec is not None and bool(spec.dtype.is_integer)
    table = as_mapping(data[0] if isinstance(data, tuple) else data)
    if name not in table:
        raise missing_columns_error([name], [str(key) for key in table])
    return holds_integers(table[name])


def holds_integers(value: Any) -> bool:
    """Whether a column holds integers, looked up without reading it through."""
    if isinstance(value, pa.Array | pa.ChunkedArray):
        whole = family(value.type).removeprefix("list of ") == "integer"
        return whole and "bool" not in str(value.type)
    if tf.is_tensor(value):
        return bool(value.dtype.is_integer)
    kind = getattr(getattr(value, "dtype", None), "kind", "O")
    if kind != "O":
        return kind in "iu"
    if not hasattr(value, "__len__"):
        return False  # which is refused where it is read
    for row in value:
        for item in row if isinstance(row, list | tuple | np.ndarray) else (row,):
            if not is_missing(item) and item != "":
                if isinstance(item, decimal.Decimal):
                    return item == item.to_integral_value()
                return isinstance(item, int | np.integer) and not isinstance(item, bool)
    return False


def is_missing(item: Any) -> bool:
    """Whether a value is one of Python's and pandas's marks of a missing one."""
    if item is None:
        return True
    if isinstance(item, str | bytes) or hasattr(item, "__len__"):
        return False
    try:
        return bool(item != item)
    except TypeError:  # `pandas.NA` has no truth value
        return True
