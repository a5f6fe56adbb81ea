"""Columns as users hold them: lists, NumPy, pandas, pyarrow, TensorFlow."""

import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf

from rankup_keras.features.columns import (
    as_mapping,
    convert_column,
    convert_columns,
    holds_integers,
)

STRING = tf.TensorSpec((None,), tf.string, name="x")
INT = tf.TensorSpec((None,), tf.int64, name="x")
FLOAT = tf.TensorSpec((None,), tf.float32, name="x")
STRINGS = tf.TensorSpec((None, None), tf.string, name="x")
INTS = tf.TensorSpec((None, None), tf.int64, name="x")
VECTOR = tf.TensorSpec((None, 2), tf.float32, name="x")
NAN = float("nan")
BIG = 2**62 + 1  # no float64 holds it


def texts(array):
    return [x.decode() if isinstance(x, bytes) else x for x in np.asarray(array).tolist()]


@pytest.mark.parametrize(
    "column",
    [
        ["a", None, "é"],
        ["a", NAN, "é"],
        ("a", "", "é"),
        [b"a", None, "é".encode()],
        [np.str_("a"), "", np.str_("é")],
        np.array(["a", "", "é"]),
        np.array([b"a", b"", "é".encode()]),
        np.array(["a", None, "é"], object),
        np.array(["a", NAN, "é"], object),
        np.array([["a"], [None], ["é"]], object),
        tf.constant(["a", "", "é"]),
        pd.Series(["a", None, "é"]),
        pd.Series(["a", None, "é"], dtype=object),
        pd.Series(["a", None, "é"], dtype="string"),
        pd.Series(["a", None, "é"], dtype="string[pyarrow]"),
        pd.Series(["a", None, "é"], dtype="category"),
        pd.Series(["a", pd.NA, "é"], dtype=object, index=[7, 3, 5]),
        pa.array(["a", None, "é"]),
        pa.chunked_array([["a"], [None, "é"]]),
        pa.array(["a", None, "é"]).dictionary_encode(),
        pa.array(["a", None, "é"], pa.large_string()),
    ],
)
def test_strings(column):
    array = convert_column(column, STRING)
    assert array.shape == (3,)
    assert texts(array) == ["a", "", "é"]


@pytest.mark.parametrize(
    "column",
    [
        [BIG, None, -5],
        [np.int64(BIG), NAN, np.int8(-5)],
        [BIG, -1, -5],
        np.array([BIG, -1, -5]),
        np.array([BIG, None, -5], object),
        np.array([[BIG], [-1], [-5]]),
        tf.constant([BIG, -1, -5], tf.int64),
        pd.Series([BIG, -1, -5]),
        pd.Series([BIG, None, -5], dtype="Int64"),
        pd.Series([BIG, None, -5], dtype="int64[pyarrow]"),
        pd.Series([BIG, pd.NA, -5], dtype=object),
        pa.array([BIG, None, -5]),
        pa.chunked_array([[BIG, None], [-5]]),
    ],
)
def test_integers(column):
    array = convert_column(column, INT)
    assert array.dtype == np.int64
    assert array.tolist() == [BIG, -1, -5]


def test_other_integer_types():
    for dtype in ("int8", "int16", "int32", "uint8", "uint32", "uint64"):
        assert convert_column(np.array([1, 100], dtype), INT).tolist() == [1, 100]
    assert convert_column(np.array([True, False]), INT).tolist() == [1, 0]
    assert convert_column([1.0, NAN, 3.0], INT).tolist() == [1, -1, 3]
    assert convert_column(pd.Series([1, None, 3]), INT).tolist() == [1, -1, 3]


@pytest.mark.parametrize(
    "column",
    [
        [1.5, None, 2],
        [1.5, NAN, 2],
        [np.float32(1.5), np.float64(NAN), np.int64(2)],
        [decimal.Decimal("1.5"), None, 2],
        np.array([1.5, NAN, 2.0]),
        np.array([1.5, NAN, 2.0], "float16"),
        np.array([1.5, None, 2], object),
        np.array([[1.5], [NAN], [2.0]]),
        tf.constant([1.5, NAN, 2.0], tf.float64),
        pd.Series([1.5, None, 2]),
        pd.Series([1.5, None, 2], dtype="Float64"),
        pd.Series([1.5, None, 2], dtype="float64[pyarrow]"),
        pa.array([1.5, None, 2]),
        pa.chunked_array([[1.5], [None, 2.0]]),
    ],
)
def test_numbers(column):
    array = convert_column(column, FLOAT)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.array([1.5, NAN, 2.0], np.float32))


def test_other_numeric_types():
    boolean = pd.Series([True, None, False], dtype="boolean")
    for column in ([True, None, False], boolean, pa.array([True, None, False])):
        np.testing.assert_array_equal(convert_column(column, FLOAT), [1.0, NAN, 0.0])
    assert convert_column(np.array([1e300, -1e300]), FLOAT).tolist() == [np.inf, -np.inf]


RAGGED = tf.ragged.constant([["a", "b"], [], ["c"]])
SPARSE = tf.SparseTensor([[0, 0], [0, 1], [2, 0]], ["a", "b", "c"], (3, 2))


@pytest.mark.parametrize(
    "column",
    [
        [["a", "b"], [], ["c"]],
        [["a", "b"], None, ("c",)],
        [np.array(["a", "b"]), NAN, [b"c"]],
        [["a", "b"], [None], ["c", NAN]],
        np.array([["a", "b"], ["", ""], ["c", ""]]),
        np.array([["a", "b"], [None, None], ["c", None]], object),
        RAGGED,
        SPARSE,
        tf.constant([["a", "b"], ["", ""], ["c", ""]]),
        pd.Series([["a", "b"], None, ["c"]]),
        pd.Series([["a", "b"], [], ["c"]], dtype=pd.ArrowDtype(pa.list_(pa.string()))),
        pa.array([["a", "b"], None, ["c"]]),
        pa.array([["a", "b"], None, ["c"]], pa.list_view(pa.string())),
        pa.chunked_array([[["a", "b"]], [[], ["c"]]]),
    ],
)
def test_lists_of_strings(column):
    array = convert_column(column, STRINGS)
    assert texts(array.reshape(-1)) == ["a", "b", "", "", "c", ""]


@pytest.mark.parametrize(
    "column",
    [
        [[BIG, 7], [], [5]],
        [[BIG, 7], None, [5, None]],
        [[BIG, 7], NAN, [5, NAN]],
        [np.array([BIG, 7], "uint64"), np.array([], "uint64"), np.array([5], "uint64")],
        [np.array([BIG, 7]), [], np.array([5], "uint8")],
        np.array([[BIG, 7], [-1, -1], [5, -1]]),
        tf.ragged.constant([[BIG, 7], [], [5]], dtype=tf.int64),
        pa.array([[BIG, 7], [], [5]]),
        pd.Series([[BIG, 7], NAN, [5]]),
    ],
)
def test_lists_of_integers(column):
    assert convert_column(column, INTS).tolist() == [[BIG, 7], [-1, -1], [5, -1]]


def test_long_columns_are_converted_in_parts(monkeypatch):
    monkeypatch.setattr("rankup_keras.features.columns.ROWS", 2)
    assert texts(convert_column(["a", "b", None, "d", "e"], STRING)) == ["a", "b", "", "d", "e"]
    assert convert_column([[1], [2, 3], [], [4, 5, 6]], INTS).tolist() == [
        [1, -1, -1], [2, 3, -1], [-1, -1, -1], [4, 5, 6],
    ]  # fmt: skip
    assert convert_column(np.ones((5, 2)), VECTOR).shape == (5, 2)
    with pytest.raises(TypeError, match=r"row 3: 1\.5 is not"):
        convert_column(np.array([1, 2, 3, 1.5]), INT)


def test_lists_of_32_bit_integers():
    ragged = tf.ragged.constant([[4, 7], [5]])
    assert ragged.dtype == tf.int32
    assert convert_column(ragged, INTS).tolist() == [[4, 7], [5, -1]]


@pytest.mark.parametrize(
    "column",
    [
        [[1, 2], None, [3, 4]],
        [[1.0, 2.0], [NAN, NAN], [3.0, 4.0]],
        [np.array([1, 2]), None, np.array([3, 4])],
        np.array([[1, 2], [NAN, NAN], [3, 4]]),
        pd.Series([[1, 2], None, [3, 4]]),
        pd.DataFrame({"v0": [1, NAN, 3], "v1": [2, NAN, 4]}),
        pd.DataFrame({"v0": [1, None, 3], "v1": [2, None, 4]}, dtype="Int64"),
        pa.array([[1, 2], None, [3, 4]]),
        pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)),
        pa.FixedShapeTensorArray.from_numpy_ndarray(np.array([[1, 2], [NAN, NAN], [3, 4]])),
    ],
)
def test_vectors(column):
    expected = np.array([[1, 2], [NAN, NAN], [3, 4]], np.float32)
    np.testing.assert_array_equal(convert_column(column, VECTOR), expected)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (STRING, (0,)),
        (INT, (0,)),
        (FLOAT, (0,)),
        (STRINGS, (0, 0)),
        (INTS, (0, 0)),
        (VECTOR, (0, 2)),
    ],
)
def test_no_rows(spec, shape):
    for column in ([], pa.array([], pa.string()), pd.Series([], dtype=object)):
        assert convert_column(column, spec).shape == shape
    assert convert_column([[], []], STRINGS).shape == (2, 0)


@pytest.mark.parametrize(
    ("column", "spec", "message"),
    [
        ([1, 2], STRING, "must hold strings. Received 1 of type int"),
        (np.array([1, 2]), STRING, "must hold strings. Received int64"),
        ([1.0, 2.0], STRING, "declare dtype='int64'"),
        (["a", 3], STRING, "must hold strings. Received 3 of type int"),
        ([["a", 3]], STRINGS, "must hold strings. Received 3 of type int"),
        ([[1, 2]], STRINGS, "must hold strings"),
        (["1", "2"], INT, "must hold 64-bit integers. Received string"),
        (np.array(["1"]), INT, "must hold 64-bit integers. Received string"),
        ([1, "b"], INT, "Received 'b' of type str"),
        ([[1, "b"]], INTS, "must hold 64-bit integers"),
        ([1.5], INT, "must hold 64-bit integers. Received 1.5.*use a Numeric feature"),
        (np.array([1.0, 1.5]), INT, "row 1: 1.5 is not a 64-bit integer"),
        (np.array([5, 2**63 + 7], "uint64"), INT, "row 1: 9223372036854775815 is not a 64-bit"),
        (pa.array([[1], [2**63]], pa.list_(pa.uint64())), INTS, "row 1: In the list, 92233"),
        ([1.0, float("inf")], INT, "must hold 64-bit integers"),
        ([1e30], INT, "must hold 64-bit integers"),
        ([2**70], INT, "must hold 64-bit integers"),
        (["€ 1"], FLOAT, "numbers. Received string. .* The first value is '€ 1'"),
        (np.array(["1"]), FLOAT, "must hold numbers. Received string"),
        (np.array(["2020-01-01"], "datetime64[s]"), FLOAT, "must hold numbers.*timestamp"),
        (["a", "b"], STRINGS, "multi-valued.*list of values. Received a row of type str: 'a'"),
        ([1, 2], INTS, "multi-valued.*type int: 1"),
        (5, FLOAT, "must be an array or a list.*Received: int"),
        ("abc", STRING, "must be an array or a list.*Received: str"),
        (tf.constant([1]), STRING, "must have dtype string. Received dtype int32"),
        (tf.ragged.constant([["a"]]), INTS, "must have dtype int64. Received dtype string"),
        (tf.constant([1.5]), INT, "must have dtype int64. Received dtype float32"),
    ],
)
def test_wrong_type(column, spec, message):
    with pytest.raises(TypeError, match=f"Column 'x'.*{message}"):
        convert_column(column, spec)


@pytest.mark.parametrize(
    ("column", "spec", "message"),
    [
        ([[1, 2], [3]], INT, " must have one .* not a list. .* give `max_length`, for past"),
        ([[1, 2], [3, 4]], FLOAT, " must have one value per row, not a list"),
        ([[["a"], ["b"]], [["c"]]], STRINGS, " must have one list per row, not lists of lists"),
        (np.array(["a"]), STRINGS, r" must have a list of .* Split it first, as `rows\[name\]"),
        (np.array(5.0), FLOAT, r" must have one or two dimensions. Received shape \(\)"),
        ([[1.0, 2.0], [3.0]], VECTOR, ", row 1: The vector has 1 numbers; `dim` is 2"),
        ([[1.0, 2.0, 3.0]], VECTOR, ", row 0: The vector has 3 numbers; `dim` is 2"),
        ([[[1], [2, 3]]], INTS, " must have a list of values in every row"),
    ],
)
def test_wrong_shape(column, spec, message):
    with pytest.raises(ValueError, match=f"Column 'x'{message}"):
        convert_column(column, spec)


def test_frames_and_tables():
    spec = {"x": STRING, "y": FLOAT, "z": INTS}
    rows = {"x": ["a", None], "y": [1, None], "z": [[1], [2, 3]], "unused": [object(), object()]}
    frame = pd.DataFrame(rows)
    table = pa.table({name: rows[name] for name in spec})
    for data in (rows, frame, table, table.to_batches()[0], dict(frame)):
        columns = convert_columns(data, spec)
        assert list(columns) == list(spec)
        assert texts(columns["x"]) == ["a", ""]
        np.testing.assert_array_equal(columns["y"], [1, NAN])
        assert columns["z"].tolist() == [[1, -1], [2, 3]]
    assert list(as_mapping(pd.DataFrame({0: [1]}))) == ["0"]


def test_a_fixed_number_of_rows():
    one = {"x": tf.TensorSpec((1,), tf.int64, name="x")}
    assert convert_columns({"x": [5]}, one)["x"].tolist() == [5]
    with pytest.raises(ValueError, match=r"'x' must have shape \(1,\). Received shape \(2,\)"):
        convert_columns({"x": [5, 6]}, one)


def test_wrong_tables():
    spec = {"x": INT, "y": INT}
    with pytest.raises(ValueError, match=r"Columns are missing: \['y'\].*columns: \['a', 'x'\]"):
        convert_columns({"x": [1], "a": [1]}, spec)
    with pytest.raises(ValueError, match=r"must have equal length.*\{'x': 1, 'y': 2\}"):
        convert_columns({"x": [1], "y": [1, 2]}, spec)
    ways = {"DataFrame": [[1, 2], np.zeros((2, 2))], "rk.data.Files": ["rows.csv"], "": [None]}
    for way, wrong in ways.items():
        for data in wrong:
            with pytest.raises(TypeError, match=f"Raw rows must be a dict of columns.*{way}"):
                convert_columns(data, spec)
    with pytest.raises(ValueError, match=r"Received a MultiIndex, as in \('a', 'x'\)"):
        convert_columns(pd.concat({"a": pd.DataFrame({"x": [1]})}, axis=1), spec)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1, 2], True),
        ([None, 3], True),
        ([NAN, 3], True),
        ([[], [3]], True),
        (["", "a"], False),
        (["1"], False),
        ([b"1"], False),
        ([True], False),
        ([1.0], False),
        ([], False),
        ([None], False),
        (np.array([1, 2], "uint8"), True),
        (np.array([True]), False),
        (np.array(["a"]), False),
        (np.array([1.0]), False),
        (np.array([[1, 2]]), True),
        (tf.constant([1]), True),
        (tf.ragged.constant([[1]]), True),
        (RAGGED, False),
        (SPARSE, False),
        (pd.Series([1]), True),
        (pd.Series([None, 1], dtype="Int64"), True),
        (pd.Series([pd.NA, 1], dtype=object), True),
        (pd.Series(["a"], dtype="string"), False),
        (pd.Series([1, 2], dtype="category"), True),
        (pd.Series([[1]]), True),
        (pa.array([None, 1]), True),
        (pa.array([[None, 1]]), True),
        (pa.array(["a"]), False),
        (pa.chunked_array([[1], [2]]), True),
    ],
)
def test_holds_integers(column, expected):
    assert holds_integers(column) is expected


def test_columns_that_are_there_twice_are_refused_where_they_are_wanted():
    arrays = [pa.array(["a"]), pa.array(["b"]), pa.array(["c"])]
    table = pa.Table.from_arrays(arrays, names=["x", "y", "x"])
    frame = pd.DataFrame([["a", "b", "c"]], columns=["x", "y", "x"])
    for data in (table, frame, pd.DataFrame([["a", "b", "c"]], columns=[1, "y", "1"])):
        wanted = "x" if data is table or data is frame else "1"
        assert texts(convert_columns(data, {"y": STRING})["y"]) == ["b"]
        with pytest.raises(ValueError, match=f"Column '{wanted}' is there 2 times"):
            convert_columns(data, {wanted: tf.TensorSpec((None,), tf.string, name=wanted)})


@pytest.mark.parametrize(
    "column",
    [
        [None, ["b"]],
        [[], ["b"]],
        pa.array([None, ["b"]]),
        pa.array([[], ["b"]]),
        pa.array([None, ["b"]], pa.list_(pa.string(), 1)),
        tf.ragged.constant([[], ["b"]]),
        tf.SparseTensor([[1, 0]], ["b"], (2, 1)),
    ],
)
def test_lists_of_at_most_one_value_are_values(column):
    assert texts(convert_column(column, STRING)) == ["", "b"]


def test_columns_that_are_missing_everywhere():
    columns = (
        [None, None],
        pd.Series([NAN, NAN]),
        np.array([NAN, NAN]),
        pd.Series([None, None], dtype="str"),
        pd.Series([None, None], dtype="category"),
    )
    for column in columns:
        assert texts(convert_column(column, STRING)) == ["", ""]
        assert convert_column(column, STRINGS).shape == (2, 0)
        assert convert_column(column, INTS).shape == (2, 0)
        assert np.isnan(convert_column(column, VECTOR)).all()
