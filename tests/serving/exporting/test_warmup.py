import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from rankup_keras.serving.client import messages
from rankup_keras.serving.exporting import warmup
from rankup_keras.serving.exporting.rank_inputs import RankInputs
from tests.serving import stand_in


@pytest.fixture(scope="module")
def logs(model):
    inputs = RankInputs(model.features)
    rows = stand_in.make_rows(6)
    names = ["serving_default", "rank", "classify", "regress_buy"]
    return rows, list(warmup.make_records(rows, names, (2, 9), inputs, "ranker"))


def test_a_server_reads_what_was_encoded(logs):
    """TensorFlow Serving's own messages, from the package's own encoding of them."""
    rows, encoded = logs
    records = [prediction_log_pb2.PredictionLog.FromString(data) for data in encoded]
    kinds = [record.WhichOneof("log_type") for record in records]
    assert kinds == ["predict_log", "predict_log", "classify_log", "regress_log"] * 2
    for record, size in zip(records, [2] * 4 + [9] * 4, strict=True):
        log = getattr(record, record.WhichOneof("log_type"))
        assert log.request.model_spec.name == "ranker"
        columns = {k: v[np.arange(size) % 6] for k, v in rows.items()}
        name = log.request.model_spec.signature_name
        if name in ("serving_default", "rank"):
            sent = stand_in.candidates_of(columns) if name == "rank" else columns
            assert log.request == messages.make_request("predict", sent, "ranker", name)
        else:
            kind = record.WhichOneof("log_type").removesuffix("_log")
            examples = messages.example_column(messages.to_examples(columns))
            assert log.request == messages.make_request(kind, examples, "ranker", name)


def test_records_come_back(logs, tmp_path):
    rows, encoded = logs
    assert warmup.write_warmup(tmp_path, iter(encoded)) == 8
    assert (tmp_path / "assets.extra" / "tf_serving_warmup_requests").is_file()
    back = list(warmup.read_warmup(tmp_path))
    assert [(kind, name) for kind, name, _ in back[:4]] == [
        ("predict", "serving_default"),
        ("predict", "rank"),
        ("classify", "classify"),
        ("regress", "regress_buy"),
    ]
    np.testing.assert_array_equal(back[0][2]["city"], rows["city"][:2])
    assert [v.decode() for v in back[0][2]["item_id"]] == rows["item_id"][:2].tolist()
    examples = messages.to_examples({k: v[:2] for k, v in rows.items()})
    for got, want in zip(back[2][2]["inputs"], examples, strict=True):
        assert tf.train.Example.FromString(got) == tf.train.Example.FromString(want)


def test_records_that_no_server_runs(tmp_path):
    session_log = prediction_log_pb2.PredictionLog()
    session_log.session_run_log.SetInParent()
    for data in (session_log.SerializeToString(), b"\x32", b"", b"\xff" * 30):
        (tmp_path / warmup.FILE).parent.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(tmp_path / warmup.FILE)) as writer:
            writer.write(data)
        with pytest.raises(ValueError, match="warm-up record 0 is not a PredictionLog that runs"):
            list(warmup.read_warmup(tmp_path))
