import sys

import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.serving import Client
from rankup_keras.serving.client import messages
from tests.serving import stand_in

KINDS = ["predict", "classify", "regress"]


@pytest.mark.parametrize("kind", KINDS)
def test_columns_come_back_out_of_a_request(kind):
    rows = stand_in.make_rows(3)
    if kind != "predict":
        rows = messages.example_column(messages.to_examples(rows))
    request = messages.make_request(kind, rows, "ranker", "some", version=7)
    spec = request.model_spec
    assert (spec.name, spec.signature_name, spec.version.value) == ("ranker", "some", 7)
    again = messages.read_columns(request)
    assert {k: v.shape for k, v in again.items()} == {k: v.shape for k, v in rows.items()}
    assert messages.make_request(kind, again, "ranker", "some", version=7) == request


def test_a_label():
    request = messages.make_request("predict", {}, "ranker", label="canary", signature="rank")
    assert request.model_spec.version_label == "canary"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int64).reshape(2, 3).T,
        np.float32(1.5),
        np.zeros((0, 4), np.float32),
        np.array([["a", b"\xff"], ["", "größer"]], object),
        np.array(["a", "bc"]),
    ],
)
def test_tensors_are_tensorflows(array):
    own = tf.make_ndarray(messages.tensor_proto(array))
    proto = tf.make_tensor_proto(array.tolist(), tf.as_dtype(array.dtype), shape=array.shape)
    theirs = tf.make_ndarray(proto)
    assert own.dtype == theirs.dtype
    assert own.shape == theirs.shape
    np.testing.assert_array_equal(own, theirs)


def test_without_the_extra_the_message_names_it(monkeypatch):
    for name in [n for n in sys.modules if n.startswith("tensorflow_serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    with pytest.raises(ImportError, match=r"pip install 'rankup-keras\[serving\]'"):
        Client()
