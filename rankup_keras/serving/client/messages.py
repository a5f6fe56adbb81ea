"""Requests of TensorFlow Serving's API from columns, and columns from its messages."""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2

Columns = Mapping[str, np.ndarray]
# The one column of classify and regress: serialized `tf.Example`s.
EXAMPLES = "inputs"
_MODULES = {"predict": "Predict", "classify": "Classification", "regress": "Regression"}


def serving_api(name: str) -> ModuleType:
    """A generated module of `tensorflow-serving-api`, such as `"apis.predict_pb2"`.

    Imported only when something needs it, since the package is optional.

    Raises:
        ImportError: the package is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(f"tensorflow_serving.{name}")
    except ImportError as error:
        raise ImportError(
            "The server configuration, the client and the development server need "
            "tensorflow-serving-api: pip install 'rankup-keras[serving]'"
        ) from error


def api_message(kind: str, direction: str) -> Any:
    """An empty `"Request"` or `"Response"` to `"predict"`, `"classify"` or `"regress"`."""
    name = _MODULES[kind]
    return getattr(serving_api(f"apis.{name.lower()}_pb2"), name + direction)()


def make_request(
    kind: str,
    columns: Columns,
    model: str,
    signature: str = "serving_default",
    version: int | None = None,
    label: str | None = None,
) -> Any:
    """A request of named columns; classify and regress take what `example_column` makes."""
    request = api_message(kind, "Request")
    fill_model_spec(request.model_spec, model, signature, version, label)
    fill_columns(request, columns)
    return request


def fill_model_spec(
    spec: Any, model: str, signature: str, version: int | None = None, label: str | None = None
) -> None:
    """Says which model, signature and version a request is for."""
    spec.name, spec.signature_name = model, signature
    if version is not None:
        spec.version.value = version
    elif label is not None:
        spec.version_label = label


def fill_columns(request: Any, columns: Columns) -> None:
    """Puts columns into a request of any kind."""
    if hasattr(request, "inputs"):
        for name, column in columns.items():
            request.inputs[name].CopyFrom(tensor_proto(column))
        return
    for example in columns[EXAMPLES]:
        request.input.example_list.examples.add().ParseFromString(example)


def read_columns(request: Any) -> dict[str, np.ndarray]:
    """The columns of a request of any kind."""
    if hasattr(request, "inputs"):
        return read_tensors(request.inputs)
    return example_column([e.SerializeToString() for e in request.input.example_list.examples])


def read_tensors(protos: Mapping[str, tensor_pb2.TensorProto]) -> dict[str, np.ndarray]:
    """The columns of a map of `TensorProto`s: a request's inputs or a response's outputs."""
    return {name: tf.make_ndarray(proto) for name, proto in protos.items()}


def read_classes(response: Any) -> list[dict[str, float]]:
    """Label to score by row, of a Classify call's response, or of `None`: no rows."""
    rows = [] if response is None else response.result.classifications
    return [{entry.label: entry.score for entry in row.classes} for row in rows]


def read_values(response: Any) -> np.ndarray:
    """One float32 per row, of a Regress call's response, or of `None`: no rows."""
    rows = [] if response is None else response.result.regressions
    return np.array([row.value for row in rows], np.float32)


def tensor_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """An array as a message; object, bytes and str arrays are strings.

    `tf.make_tensor_proto` walks strings one by one; requests are made too often for that.
    """
    array = np.asarray(array)
    proto = tensor_pb2.TensorProto(
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[{"size": n} for n in array.shape])
    )
    if array.dtype.kind in "OSU":
        proto.dtype = types_pb2.DT_STRING
        proto.string_val.extend(_as_bytes(array.ravel()))
    else:
        proto.dtype = tf.as_dtype(array.dtype).as_datatype_enum
        proto.tensor_content = np.asarray(array, order="C").tobytes()
    return proto


def example_column(examples: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Serialized examples as the one column that classify and regress take."""
    return {EXAMPLES: np.array(examples, object)}


def to_examples(rows: Columns) -> list[bytes]:
    """Rows as serialized `tf.Example` protos, one per row."""
    columns = {name: np.asarray(value) for name, value in rows.items()}
    examples = []
    for index in range(len(next(iter(columns.values())))):
        example = tf.train.Example()
        for name, column in columns.items():
            values = np.atleast_1d(column[index])
            feature = example.features.feature[name]
            if values.dtype.kind in "OSU":
                feature.bytes_list.value.extend(_as_bytes(values))
            elif values.dtype.kind in "iub":
                feature.int64_list.value.extend(values.tolist())
            else:
                feature.float_list.value.extend(values.tolist())
        examples.append(example.SerializeToString())
    return examples


def _as_bytes(array: np.ndarray) -> list[bytes]:
    return [v.encode() if isinstance(v, str) else v for v in array.tolist()]
