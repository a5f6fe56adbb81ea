import keras
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import tensorflow as tf

from rankup_keras.diagnostics import probe as probe_lib
from rankup_keras.diagnostics.probe import make_probe


class Plain:
    """A model without `encode`."""


class Encoding:
    """A model with `encode`, as the models of the package have it."""

    def encode(self, raw):
        return {"encoded_ids": np.asarray(raw["id"])[:, None]}


def inputs(probe):
    return np.concatenate([np.asarray(batch) for batch in probe.batches])


def test_arrays_are_sampled_at_even_distances():
    probe = make_probe(Plain(), np.arange(100), 5)
    assert inputs(probe).tolist() == [0, 25, 50, 74, 99]
    assert probe.size == 5
    assert probe.labels is None


def test_fewer_rows_than_wanted_are_all_taken():
    assert inputs(make_probe(Plain(), np.arange(3), 512)).tolist() == [0, 1, 2]


def test_labels_come_with_their_rows():
    x = np.arange(10)
    probe = make_probe(Plain(), (x, {"y": -x}, np.ones(10)), 4)
    np.testing.assert_array_equal(probe.labels["y"], -inputs(probe))


def test_long_probes_go_through_the_model_in_pieces(monkeypatch):
    monkeypatch.setattr(probe_lib, "FORWARD_ROWS", 4)
    probe = make_probe(Plain(), (np.arange(10), np.arange(10)), 10)
    assert [len(batch) for batch in probe.batches] == [4, 4, 2]
    np.testing.assert_array_equal(probe.labels, np.arange(10))


def test_raw_columns_go_through_encode():
    raw = {"id": list(range(10)), "name": ["a"] * 10}
    probe = make_probe(Encoding(), raw, 3)
    assert probe.batches[0]["encoded_ids"].tolist() == [[0], [4], [9]]


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d,
        lambda d: {k: v.tolist() for k, v in d.items()},
        lambda d: pa.table(d),
        pl.DataFrame,
        pd.DataFrame,
        lambda d: {k: tf.constant(v) for k, v in d.items()},
        lambda d: {k: tf.RaggedTensor.from_tensor(v[:, None]) for k, v in d.items()},
        lambda d: {k: pd.Series(v, index=range(5, 15)) for k, v in d.items()},
    ],
    ids=["arrays", "lists", "table", "polars", "frame", "tensors", "ragged", "series"],
)
def test_forms_of_columns(make):
    probe = make_probe(Plain(), make({"a": np.arange(10), "b": np.arange(10) * 2}), 2)
    column = probe.batches[0]["b"]
    column = column.to_tensor() if isinstance(column, tf.RaggedTensor) else column
    assert np.ravel(column).tolist() == [0, 18]


def test_lists_of_lists_are_one_column():
    probe = make_probe(Plain(), {"history": [[1], [2, 3], []]}, 2)
    assert probe.batches[0]["history"] == [[1], []]


def test_a_list_of_arrays_is_several_inputs():
    probe = make_probe(Plain(), [np.arange(10), -np.arange(10)], 2)
    assert [part.tolist() for part in probe.batches[0]] == [[0, 9], [0, -9]]


def test_datasets_give_their_first_rows():
    data = tf.data.Dataset.from_tensor_slices(({"id": np.arange(50)}, np.arange(50)))
    probe = make_probe(Encoding(), data.batch(8), 20)
    taken = np.concatenate([batch["encoded_ids"][:, 0] for batch in probe.batches])
    assert taken.tolist() == list(range(20))
    np.testing.assert_array_equal(probe.labels, np.arange(20))
    assert len(probe.batches) == 1


def test_batches_of_different_widths_stay_apart():
    rows = [{"history": np.ones((2, width))} for width in (3, 5)]
    data = tf.data.Dataset.from_generator(
        lambda: iter(rows), output_signature={"history": tf.TensorSpec((None, None))}
    )
    probe = make_probe(Plain(), data, 4)
    assert [batch["history"].shape for batch in probe.batches] == [(2, 3), (2, 5)]


def test_py_datasets():
    class Rows(keras.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            return np.full(4, index), np.zeros(4)

    assert inputs(make_probe(Plain(), Rows(), 6)).tolist() == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": np.arange(3), "b": np.arange(4)}, r"differ in length: \{'a': 3, 'b': 4\}"),
        ({}, "an empty dict"),
        (np.arange(1), r"hold 1 row"),
        (tuple(np.arange(3) for _ in range(4)), "a tuple of 4"),
        ("abc", "Received: str"),
    ],
    ids=["lengths", "empty", "one_row", "tuple", "text"],
)
def test_wrong_data_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        make_probe(Plain(), data, 4)


def test_wrong_sample_counts_are_named():
    with pytest.raises(ValueError, match="probe_samples=1"):
        make_probe(Plain(), np.arange(9), 1)
