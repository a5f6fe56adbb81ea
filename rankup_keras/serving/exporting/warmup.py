"""Warm-up records: what a server runs before it lets the first request in."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from rankup_keras.serving import messages
from rankup_keras.serving.exporting.session import wire_fields
from rankup_keras.serving.exporting.sides import Sides
from rankup_keras.serving.rows import take

FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# A version with more records than this does not load.
MAX_RECORDS = 1000


# Fields of PredictionLog, by the kind of request that they hold.
_KINDS = {"classify": 2, "regress": 3, "predict": 6}


def records(
    rows: Mapping[str, np.ndarray],
    signatures: Sequence[str],
    batch_sizes: Sequence[int],
    sides: Sides,
    model: str,
) -> Iterator[bytes]:
    """A serialized `PredictionLog` of every signature at every batch size, of real rows.

    The messages are encoded here, field by field, so that an export can be warmed up on a
    machine that has no tensorflow-serving-api.
    """
    for size in batch_sizes:
        columns = take(rows, size)
        for name in signatures:
            kind = name.partition("_")[0]
            spec = _field(1, _field(1, model.encode()) + _field(3, name.encode()))
            if kind in ("classify", "regress"):
                examples = b"".join(_field(1, e) for e in messages.to_examples(columns))
                yield _log(kind, spec + _field(2, _field(1, examples)))
                continue
            sent = one_user(columns, sides) if name == "rank" else columns
            inputs = [
                _field(2, _field(1, key.encode()) + _field(2, _tensor(value)))
                for key, value in sent.items()
            ]
            yield _log("predict", spec + b"".join(inputs))


def _tensor(value: np.ndarray) -> bytes:
    return messages.tensor_proto(value).SerializeToString()


def _log(kind: str, request: bytes) -> bytes:
    return _field(_KINDS[kind], _field(1, request))


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field of the protobuf wire format."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    low = []
    while value > 0x7F:
        low.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*low, value])


def one_user(rows: Mapping[str, np.ndarray], sides: Sides) -> dict[str, np.ndarray]:
    """The first row's user with the candidates of all rows, as `rank` takes them."""
    return {name: rows[name][:1] if name in sides.user else rows[name] for name in rows}


def write_warmup(place: Path, logs: Iterator[bytes]) -> int:
    """Writes the records beside the model and returns their number."""
    (place / FILE).parent.mkdir(exist_ok=True)
    count = 0
    with tf.io.TFRecordWriter(str(place / FILE)) as writer:
        for record in logs:
            writer.write(record)
            count += 1
    return count


def read_warmup(place: Path) -> Iterator[tuple[str, str, dict[str, np.ndarray]]]:
    """The records of a version directory: kind, signature and columns of each.

    Raises:
        ValueError: a record that no server could run.
    """
    kinds = {number: kind for kind, number in _KINDS.items()}
    for index, data in enumerate(tf.data.TFRecordDataset(str(place / FILE)).as_numpy_iterator()):
        try:
            found = [(kinds[n], value) for n, value in wire_fields(data) if n in kinds]
            ((kind, log),) = found
            yield kind, *_read_request(kind, dict(wire_fields(log))[1])
        except (ValueError, KeyError, IndexError) as error:
            raise ValueError(
                f"warm-up record {index} is no PredictionLog that runs: {error!r}"
            ) from error


def _read_request(kind: str, request: bytes) -> tuple[str, dict[str, np.ndarray]]:
    signature, columns, examples = "serving_default", {}, []
    for number, value in wire_fields(request):
        if number == 1:
            signature = bytes(dict(wire_fields(value)).get(3, b"serving_default")).decode()
        elif number == 2 and kind == "predict":
            entry = dict(wire_fields(value))
            proto = tensor_pb2.TensorProto.FromString(bytes(entry[2]))
            columns[bytes(entry[1]).decode()] = tf.make_ndarray(proto)
        elif number == 2:
            for _, listed in wire_fields(value):
                examples += [bytes(example) for _, example in wire_fields(listed)]
    return signature, columns if kind == "predict" else messages.example_column(examples)
