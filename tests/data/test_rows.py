import keras
import numpy as np

from rankup_keras.data import Rows

ROWS = Rows(
    {
        "x": np.arange(10, dtype="float32"),
        "word": np.array([f"w{i}" for i in range(10)]),
        "list": np.array([[str(i), ""] for i in range(10)]),
    },
    {"click": (np.arange(10) % 2).astype("float32")},
)


def read(dataset):
    batches = list(dataset.as_numpy_iterator())
    return batches, np.concatenate([columns["x"] for columns, _ in batches]).tolist()


def test_batches_hold_the_rows_in_order():
    batches, seen = read(ROWS.dataset(4))
    assert [len(columns["x"]) for columns, _ in batches] == [4, 4, 2]
    assert seen == list(range(10))
    columns, labels = batches[1]
    assert columns["word"].tolist() == [b"w4", b"w5", b"w6", b"w7"]
    assert columns["list"].tolist() == [[b"4", b""], [b"5", b""], [b"6", b""], [b"7", b""]]
    assert labels["click"].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_shuffle_is_seeded_and_new_at_every_pass():
    dataset = ROWS.dataset(4, shuffle=True, seed=1)
    first, second = read(dataset)[1], read(dataset)[1]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert read(ROWS.dataset(4, shuffle=True, seed=1))[1] == first


def test_columns_and_labels_stay_together_when_shuffled():
    for columns, labels in ROWS.dataset(3, shuffle=True, seed=2).as_numpy_iterator():
        np.testing.assert_array_equal(labels["click"], columns["x"] % 2)
        assert columns["word"].tolist() == [f"w{int(x)}".encode() for x in columns["x"]]


def test_drop_remainder_gives_static_batches():
    dataset = ROWS.dataset(4, drop_remainder=True)
    assert dataset.element_spec[0]["x"].shape == (4,)
    assert len(read(dataset)[1]) == 8


def test_keras_takes_rows_as_a_pair():
    inputs = {"x": keras.Input((), name="x")}
    click = keras.layers.Dense(1, activation="sigmoid")(keras.ops.expand_dims(inputs["x"], -1))
    model = keras.Model(inputs, {"click": click})
    model.compile(loss="binary_crossentropy")
    rows = Rows({"x": ROWS.columns["x"]}, ROWS.labels)
    history = model.fit(*rows, validation_data=rows, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()


def test_select_and_count():
    chosen = ROWS.select(ROWS.labels["click"] == 1)
    assert (ROWS.num_rows, chosen.num_rows) == (10, 5)
    assert chosen.columns["word"].tolist() == ["w1", "w3", "w5", "w7", "w9"]
    assert chosen.labels["click"].tolist() == [1.0] * 5


def test_repr_is_short():
    assert repr(ROWS) == "Rows(10 rows, columns: x, word, list; labels: click 0.500)"
