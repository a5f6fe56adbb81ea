"""Requests of TensorFlow Serving's API from columns, and columns from its answers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2

from rankup_keras.serving.exporting.signatures import EXAMPLES
from rankup_keras.serving.serving_api import serving_api


def tensor_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """An array as a message; object, bytes and str arrays are strings.

    `tf.make_tensor_proto` walks strings one by one; requests are made too often for that.
    """
    array = np.asarray(array)
    shape = tensor_shape_pb2.TensorShapeProto()
    for size in array.shape:
        shape.dim.add(size=size)
    if array.dtype.kind in "OSU":
        values = [v.encode() if isinstance(v, str) else v for v in array.ravel().tolist()]
        return tensor_pb2.TensorProto(
            dtype=types_pb2.DT_STRING, tensor_shape=shape, string_val=values
        )
    return tensor_pb2.TensorProto(
        dtype=tf.as_dtype(array.dtype).as_datatype_enum,
        tensor_shape=shape,
        tensor_content=np.asarray(array, order="C").tobytes(),
    )


def predict_request(
    columns: Mapping[str, np.ndarray],
    model: str,
    signature: str = "serving_default",
    outputs: Sequence[str] = (),
    version: int | None = None,
    label: str | None = None,
) -> Any:
    """A `PredictRequest` of named columns."""
    request = serving_api("apis.predict_pb2").PredictRequest()
    fill_model_spec(request.model_spec, model, signature, version, label)
    request.output_filter.extend(outputs)
    for name, column in columns.items():
        request.inputs[name].CopyFrom(tensor_proto(column))
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


def example_request(kind: str, examples: Sequence[bytes], model: str, signature: str) -> Any:
    """A `ClassificationRequest` or `RegressionRequest` over serialized `tf.Example`s."""
    if kind == "classify":
        request = serving_api("apis.classification_pb2").ClassificationRequest()
    else:
        request = serving_api("apis.regression_pb2").RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for example in examples:
        request.input.example_list.examples.add().ParseFromString(example)
    return request


def columns_of(message: Any) -> dict[str, np.ndarray]:
    """The columns of a map of `TensorProto`s: a request's inputs or an answer's outputs."""
    return {name: tf.make_ndarray(proto) for name, proto in message.items()}


def to_examples(rows: Mapping[str, np.ndarray]) -> list[bytes]:
    """Rows as serialized `tf.Example` protos, one a row."""
    examples = []
    columns = {name: np.asarray(value) for name, value in rows.items()}
    for index in range(len(next(iter(columns.values())))):
        example = tf.train.Example()
        for name, column in columns.items():
            values = np.atleast_1d(column[index])
            feature = example.features.feature[name]
            if values.dtype.kind in "OSU":
                feature.bytes_list.value.extend(
                    [v.encode() if isinstance(v, str) else v for v in values.tolist()]
                )
            elif values.dtype.kind in "iub":
                feature.int64_list.value.extend(values.tolist())
            else:
                feature.float_list.value.extend(values.tolist())
        examples.append(example.SerializeToString())
    return examples


def example_column(examples: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Serialized examples as the one column that classify and regress take."""
    return {EXAMPLES: np.array(examples, object)}
