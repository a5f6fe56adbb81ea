"""Warm-up records: what a server runs before it lets the first request in."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.serving import messages
from rankup_keras.serving.rows import take
from rankup_keras.serving.serving_api import serving_api
from rankup_keras.serving.sides import Sides

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# A version with more records than this does not load.
MAX_RECORDS = 1000


def requests(
    rows: Mapping[str, np.ndarray],
    signatures: Sequence[str],
    batch_sizes: Sequence[int],
    sides: Sides,
    model: str,
) -> Iterator[tuple[str, Any]]:
    """A request of every signature at every batch size, made from real rows, with its kind."""
    for size in batch_sizes:
        columns = take(rows, size)
        for name in signatures:
            kind = name.partition("_")[0]
            if kind in ("classify", "regress"):
                examples = messages.to_examples(columns)
                yield kind, messages.example_request(kind, examples, model, name)
                continue
            if name == "rank":
                yield "predict", messages.predict_request(one_user(columns, sides), model, name)
            else:
                yield "predict", messages.predict_request(columns, model, name)


def one_user(rows: Mapping[str, np.ndarray], sides: Sides) -> dict[str, np.ndarray]:
    """The first row's user with the candidates of all rows, as `rank` takes them."""
    return {name: rows[name][:1] if name in sides.user else rows[name] for name in rows}


def write_warmup(place: Path, pairs: Iterator[tuple[str, Any]]) -> int:
    """Writes the records beside the model and returns their number."""
    log = serving_api("apis.prediction_log_pb2")
    (place / FILE).parent.mkdir(exist_ok=True)
    count = 0
    with tf.io.TFRecordWriter(str(place / FILE)) as writer:
        for kind, request in pairs:
            record = log.PredictionLog()
            getattr(record, f"{kind}_log").request.CopyFrom(request)
            writer.write(record.SerializeToString())
            count += 1
    return count


def read_warmup(place: Path) -> Iterator[tuple[str, str, dict[str, np.ndarray]]]:
    """The records of a version directory: kind, signature and columns of each.

    Raises:
        ValueError: a record that no server could read.
    """
    log = serving_api("apis.prediction_log_pb2")
    for index, data in enumerate(tf.data.TFRecordDataset(str(place / FILE)).as_numpy_iterator()):
        record = log.PredictionLog()
        try:
            record.ParseFromString(data)
        except Exception as error:  # protobuf's DecodeError, whose module differs by backend
            raise ValueError(f"warm-up record {index} is no PredictionLog: {error}") from error
        kind = (record.WhichOneof("log_type") or "").removesuffix("_log")
        if kind not in ("predict", "classify", "regress"):
            raise ValueError(f"warm-up record {index} has the type {kind!r}, which does not run")
        request = getattr(record, f"{kind}_log").request
        if kind == "predict":
            columns = messages.columns_of(request.inputs)
        else:
            examples = request.input.example_list.examples
            columns = messages.example_column([e.SerializeToString() for e in examples])
        yield kind, request.model_spec.signature_name or "serving_default", columns
