"""The same values in every form of rows: equal ids and numbers, or a refusal that tells."""

import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

import rankup_keras as rk
from rankup_keras.data import DataError, Files
from tests.helpers.data_files import write_csv, write_tfrecord

BUCKETS = 1_000_003
WORDS = ["a", "b", "\ufeffa", "NA", "\u2028", " a"]
LARGE = [2**24 + 1, 2**53, 2**53 + 1, 2**63 - 1, -7]
ABSURD = [2**63, 2**64 - 1]
INTS = [None, 1, 7, *LARGE]
TEXTS = [None, *WORDS, "other", "é"]
FLOATS = [None, 0.5, -3.0, 1024.0]
FEATURES = {
    "ids": rk.FeatureSet([rk.Categorical("x", hash_buckets=BUCKETS, dtype="int64")]),
    "words": rk.FeatureSet([rk.Categorical("x", vocabulary=WORDS)]),
    "numbers": rk.FeatureSet([rk.Numeric("x", normalize=None)]),
    "doubles": rk.FeatureSet([rk.Numeric("x", normalize=None, dtype="float64")]),
}
DATASETS = ("tensor l", "tensor L", "tensor str", "tensor float64")
# Types of pandas, pyarrow and NumPy that the values of a kind come in.
INTEGERS = [*"bBhHiIlL", "float16", "float32", "float64"]
TYPES = {
    "ids": (
        ["Int64", "UInt64", "Int8", "Float64", "int64[pyarrow]", "uint64[pyarrow]", "category"],
        ["int64", "uint64", "int8", "float64", "float32", "decimal128(20, 0)", "bool_"],
        ["?", *INTEGERS],
    ),
    "words": (
        ["string", "string[pyarrow]", "category", "large_string[pyarrow]"],
        ["string", "large_string", "string_view", "binary", "large_binary", "binary_view"],
        ["str"],
    ),
    "numbers": (
        ["Float64", "Float32", "float64", "double[pyarrow]"],
        ["float64", "float32", "float16", "decimal128(38, 10)"],
        ["float16", "float32", "float64"],
    ),
}


def wanted(kind, values):
    """Written down without the package; `None` where no form may be taken."""
    if kind == "words":
        known = {None: 0, "": 0, **{word: 2 + place for place, word in enumerate(WORDS)}}
        return [[known.get(value, 1)] for value in values]
    if kind == "numbers":
        return [[0.0, 1.0] if value is None else [value, 0.0] for value in values]
    if any(value in ABSURD for value in values):
        return None
    prints = tf.strings.to_hash_bucket_fast([str(value) for value in values], 2**63 - 1).numpy()
    return [
        [0 if value in (None, -1) else 1 + int(mark) % BUCKETS]
        for value, mark in zip(values, prints, strict=True)
    ]


def attempt(make):
    """A form of the values; `None` where it cannot hold them."""
    try:
        return make()
    except (pa.ArrowException, OverflowError, ValueError, TypeError, RuntimeWarning):
        return None


def exact_array(values, name):
    if name == "?" and None in values:
        raise ValueError("the array has no place for a missing value")
    array = np.array(["" if v is None else v for v in values] if name == "str" else values, name)
    for value, found in zip(values, array.tolist(), strict=True):
        if value is not None and found != value:
            raise ValueError("the array has other values")
    return array


def forms(kind, values):
    """The values as columns of every library, by name."""
    frames, tables, arrays = TYPES[kind]
    yield "list", values
    yield "objects", np.array([*values, None], object)[:-1]
    yield "series", pd.Series([pd.NA if v is None else v for v in values], dtype=object)
    if kind != "words":
        exact = [None if v is None else decimal.Decimal(v) for v in values]
        yield "decimals", exact
        yield "decimals of pandas", pd.Series(exact, dtype=object)
    for name in frames:
        yield f"pandas {name}", attempt(lambda name=name: pd.Series(values, dtype=name))
    for name in tables:
        made = eval(f"pa.{name}" if "(" in name else f"pa.{name}()", {"pa": pa})
        column = attempt(lambda made=made: pa.array(values, made))
        yield f"arrow {name}", column
        coded = None if column is None else attempt(column.dictionary_encode)
        yield f"dictionary of {name}", coded
    for name in arrays:
        array = attempt(lambda name=name: exact_array(values, name))
        yield f"numpy {name}", array
        yield f"tensor {name}", None if array is None else attempt(lambda a=array: tf.constant(a))


def judge(kind, form, found, expected):
    if not isinstance(found, str):
        assert found == expected, form
        return
    assert "Column 'x'" in found or "column 'x'" in found or "Column x " in found, (form, found)
    told = ("must hold", "must have dtype", "is not a", "comes as a", "beyond int64")
    assert any(text in found for text in told), (form, found)
    # What is refused may have lost digits on its way, or has a type that was not declared.
    other = "float" in form or "loat" in form or "ouble" in form or "bool" in form or "?" in form
    assert expected is None or other, (form, found)


def encode(features, data):
    try:
        found = features.encode(data)
        parts = found if isinstance(found, tf.data.Dataset) else [found]
        arrays = [np.concatenate([*part.values()], axis=1) for part in parts]
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        return str(error)
    return np.concatenate(arrays).tolist()


def check(kind, values):
    expected = wanted(kind, values)
    for form, column in forms(kind, values):
        if column is None:
            continue
        for features in (FEATURES[kind], *([FEATURES["doubles"]] if kind == "numbers" else [])):
            judge(kind, form, encode(features, {"x": column}), expected)
            if form in DATASETS:  # each costs a trace
                data = tf.data.Dataset.from_tensor_slices({"x": column}).batch(3)
                judge(kind, f"dataset of {form}", encode(features, data), expected)
    table = attempt(lambda: pa.table({"x": values}))
    for data in (pd.DataFrame({"x": values}, dtype=object), table, {"x": values}):
        if data is not None:
            judge(kind, f"{type(data)} float", encode(FEATURES[kind], data), expected)


def some(*values):
    return st.lists(st.one_of(st.none(), st.sampled_from(values)), min_size=1, max_size=5)


@settings(max_examples=8, deadline=None)
@given(some(0, 1, 5, -1, *LARGE, *ABSURD))
@example(INTS)
@example([1, 2, 3])
@example([0, 1, 1])
@example([2**24 + 1, 5])
@example([ABSURD[0], 5])
def test_integers(values):
    check("ids", values)


@settings(max_examples=8, deadline=None)
@given(some("", "other", "é", "\ud83d", "x\udc00", *WORDS))
@example(TEXTS)
@example(["a", "\ud83d"])
def test_text(values):
    check("words", values)


@settings(max_examples=6, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e4, 1e4, width=16)), min_size=1, max_size=5))
@example(FLOATS)
def test_numbers(values):
    check("numbers", values)


@pytest.mark.parametrize(
    ("kind", "values"), [("ids", INTS), ("words", TEXTS), ("numbers", FLOATS), ("ids", ABSURD)]
)
def test_files_have_what_memory_has(tmp_path, kind, values):
    rows = {"x": values, "beside": [1] * len(values)}
    paths = [write_csv(tmp_path / "a.csv", rows)]
    for name in TYPES[kind][1]:
        made = eval(f"pa.{name}" if "(" in name else f"pa.{name}()", {"pa": pa})
        column = attempt(lambda made=made: pa.array(values, made))
        path = tmp_path / f"{name}.parquet"
        if column is not None:
            pq.write_table(pa.table({"x": column}), path)
            paths.append(path)
    if values != ABSURD:  # which a `tf.Example` cannot hold
        paths.append(write_tfrecord(tmp_path / "a.tfrecord", rows))
    for path in paths:
        features = FEATURES[kind]
        try:
            files = Files(path, features)
            (found,) = files.dataset(16, encoded=True)
            (again,) = features.encode(files.dataset(16))
        except (DataError, tf.errors.InvalidArgumentError) as error:
            found = str(error)
        else:
            found, again = (
                np.concatenate([v.numpy() for v in part.values()], axis=1).tolist()
                for part in (found, again)
            )
            assert found == again, path
        judge(kind, path.name, found, wanted(kind, values))


def test_times_keep_their_seconds():
    start = 1_700_000_000_000
    times = start + 600 * np.arange(1000)
    rows = {"time": times, "price": np.arange(1000) % 7}
    for normalize in ("standard", "log"):
        features = rk.FeatureSet([rk.Numeric("time", normalize=normalize), rk.Numeric("price")])
        found = features.adapt(rows).encode(rows)["encoded_numeric"][:, 0]
        exact = np.log1p(times.astype(np.float64)) if normalize == "log" else times
        exact = (exact - exact.mean()) / exact.std()
        np.testing.assert_allclose(found, exact, atol=1e-4)
        assert [features[name].dtype for name in rows] == ["float64", "float32"]
        again = rk.FeatureSet.from_config(features.get_config()).encode(rows)["encoded_numeric"]
        np.testing.assert_array_equal(again[:, 0], found)


@pytest.mark.parametrize("encoded", [False, True])
def test_times_in_files_keep_their_seconds(tmp_path, encoded):
    times = [*(1_700_000_000 + 3 * i for i in range(500)), None]
    path = write_csv(tmp_path / "a.csv", {"time": times, "click": [0, 1] * 250 + [0]})
    features = rk.FeatureSet([rk.Numeric("time")])
    files = Files(path, features, ["click"])  # made before anything is learned
    rk.data.adapt(features, files)
    dataset = files.dataset(600, encoded=encoded)
    ((columns, _),) = dataset if encoded else features.encode(dataset)
    assert len(np.unique(columns["encoded_numeric"][:-1, 0])) == 500
    assert columns["encoded_numeric"][-1].numpy().tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("column", "feature"),
    [
        ([{"a": 1}, {"b": 2}], rk.Categorical("x")),
        ([{"a": 1}, {"b": 2}], rk.Categorical("x", max_length=2)),
        ([{"a", "b"}, {"c"}], rk.Categorical("x", max_length=2)),
        ([{1, 2}, {3}], rk.Categorical("x", max_length=2)),
        (np.array([(1, 2)], [("a", int), ("b", int)]), rk.Categorical("x")),
        (np.array([1 + 2j]), rk.Numeric("x")),
        ([1 + 2j], rk.Numeric("x")),
        (3, rk.Categorical("x")),
        ((i for i in range(3)), rk.Categorical("x")),
        ((i for i in range(3)), rk.Numeric("x")),
    ],
)
def test_columns_of_which_something_would_be_lost_are_refused(column, feature):
    with pytest.raises((TypeError, ValueError), match="'x'"):
        rk.FeatureSet([feature]).adapt({"x": column})


def test_ids_of_fixed_width_are_text(tmp_path):
    ids = pa.array([b"ab", None], pa.binary(2))
    pq.write_table(pa.table({"x": ids}), tmp_path / "a.parquet")
    features = rk.FeatureSet([rk.Categorical("x", dtype="string")])
    (batch,) = Files(tmp_path, features).dataset(2)
    assert batch["x"].numpy().tolist() == [b"ab", b""]


def test_series_of_the_same_rows_in_other_orders_are_refused():
    features = rk.FeatureSet([rk.Numeric("a"), rk.Numeric("b")])
    series = pd.Series([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="'a' and 'b' are series whose indexes name the same rows"):
        features.adapt({"a": series, "b": series[::-1]})
    for other in (series[::-1].to_numpy(), series[::-1].reset_index(drop=True), series):
        features.adapt({"a": series, "b": other})


def test_frames_and_series_of_polars():
    values = [None, 2**53 + 1, 7]
    want = FEATURES["ids"].encode({"x": values})["encoded_ids"]
    for data in (pl.DataFrame({"x": values}), {"x": pl.Series(values)}):
        np.testing.assert_array_equal(FEATURES["ids"].encode(data)["encoded_ids"], want)


def test_lists_and_categories_of_polars():
    item = rk.Categorical("item", dtype="string", vocabulary=["a", "b"])
    features = rk.FeatureSet([item, rk.History("seen", of="item", max_length=3)])
    rows = {"item": ["a", None, "b"], "seen": [["b", "a"], None, []]}
    frame = pl.DataFrame(rows, schema_overrides={"item": pl.Categorical})
    np.testing.assert_array_equal(
        features.encode(frame)["encoded_ids"], features.encode(rows)["encoded_ids"]
    )
