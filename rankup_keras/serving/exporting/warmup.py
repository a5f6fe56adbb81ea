"""Warm-up records: what a server runs before it lets the first request in."""

import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2

from rankup_keras.serving.client import messages
from rankup_keras.serving.exporting.rank_inputs import RankInputs
from rankup_keras.serving.exporting.sample_rows import Rows, take
from rankup_keras.serving.exporting.signatures import request_columns, request_kind

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# A version with more records than this does not load.
MAX_RECORDS = 1000
_KINDS = ("predict", "classify", "regress")
_PACKAGE = "rankup_keras.warmup"
# What a record uses of TensorFlow Serving's `PredictionLog`, with the field numbers of its .proto
# files, so that an export can be warmed up on a machine without tensorflow-serving-api.
_MESSAGES = {
    "ModelSpec": {"name": (1, "string"), "signature_name": (3, "string")},
    "ExampleList": {"examples": (1, "repeated tensorflow.Example")},
    "Input": {"example_list": (1, "ExampleList")},
    "ExampleRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "ExampleLog": {"request": (1, "ExampleRequest")},
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "repeated PredictRequest.InputsEntry"),
    },
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {
        "classify_log": (2, "ExampleLog"),
        "regress_log": (3, "ExampleLog"),
        "predict_log": (6, "PredictLog"),
    },
}
_MAP_ENTRY = {"key": (1, "string"), "value": (2, "tensorflow.TensorProto")}


def make_records(
    rows: Rows,
    signatures: Sequence[str],
    batch_sizes: Sequence[int],
    inputs: RankInputs,
    model: str,
) -> Iterator[bytes]:
    """A serialized `PredictionLog` of every signature at every batch size, of real rows."""
    for size in batch_sizes:
        sample = take(rows, size)
        for name in signatures:
            log = _prediction_log()()
            request = getattr(log, f"{request_kind(name)}_log").request
            messages.fill_model_spec(request.model_spec, model, name)
            messages.fill_columns(request, request_columns(name, sample, inputs))
            yield log.SerializeToString(deterministic=True)


def write_warmup(place: Path, records: Iterable[bytes]) -> int:
    """Writes the records beside the model and returns their number."""
    (place / FILE).parent.mkdir(exist_ok=True)
    count = 0
    with tf.io.TFRecordWriter(str(place / FILE)) as writer:
        for record in records:
            writer.write(record)
            count += 1
    return count


def read_warmup(place: str | os.PathLike) -> Iterator[tuple[str, str, dict[str, np.ndarray]]]:
    """The records of a version directory: kind, signature and columns of each.

    Raises:
        ValueError: a record that no server could run.
    """
    dataset = tf.data.TFRecordDataset(str(Path(place) / FILE))
    for index, data in enumerate(dataset.as_numpy_iterator()):
        try:
            log = _prediction_log().FromString(data)
            (kind,) = [kind for kind in _KINDS if log.HasField(f"{kind}_log")]
            request = getattr(log, f"{kind}_log").request
            columns = messages.read_columns(request)
        except (ValueError, message.DecodeError) as error:
            raise ValueError(
                f"warm-up record {index} is not a PredictionLog that runs: {error!r}"
            ) from error
        yield kind, request.model_spec.signature_name or "serving_default", columns


@functools.cache
def _prediction_log() -> Any:
    """The class of `PredictionLog` messages."""
    shared = [example_pb2.DESCRIPTOR.name, tensor_pb2.DESCRIPTOR.name]
    file = descriptor_pb2.FileDescriptorProto(
        name="rankup_keras/warmup.proto", package=_PACKAGE, syntax="proto3", dependency=shared
    )
    for name, fields in _MESSAGES.items():
        made = file.message_type.add(name=name)
        _add_fields(made, fields)
        if name == "PredictRequest":
            entry = made.nested_type.add(name="InputsEntry", options={"map_entry": True})
            _add_fields(entry, _MAP_ENTRY)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.PredictionLog"))


def _add_fields(made: Any, fields: dict[str, tuple[int, str]]) -> None:
    types = descriptor_pb2.FieldDescriptorProto
    for name, (number, declared) in fields.items():
        repeated, _, kind = declared.rpartition(" ")
        label = types.LABEL_REPEATED if repeated else types.LABEL_OPTIONAL
        field = made.field.add(name=name, number=number, label=label, type=types.TYPE_STRING)
        if kind != "string":
            field.type = types.TYPE_MESSAGE
            field.type_name = f".{kind if kind.startswith('tensorflow') else f'{_PACKAGE}.{kind}'}"
