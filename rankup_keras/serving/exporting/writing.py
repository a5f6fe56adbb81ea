"""Writes what a server reads: the SavedModel and its warm-up records."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.serving.exporting.description import ExportDescription
from rankup_keras.serving.exporting.signatures import Endpoint
from rankup_keras.serving.exporting.warmup import make_records, write_warmup


def write_export(
    place: Path, described: ExportDescription, endpoints: Mapping[str, Endpoint]
) -> None:
    """Writes the SavedModel into `place`, and warm-up records where there are real rows."""
    write_saved_model(place, described.model, endpoints, described.inputs.user)
    if described.real_rows:
        records = make_records(
            described.rows, list(endpoints), described.batch_sizes, described.inputs, described.name
        )
        write_warmup(place, records)


def write_saved_model(
    place: Path,
    model: keras.Model,
    endpoints: Mapping[str, Endpoint],
    user_columns: Sequence[str] = (),
) -> None:
    """Traces the endpoints and writes them with what they use."""
    # Traced once each: `keras.export.ExportArchive` would trace them again as it writes.
    functions = {
        name: tf.function(
            endpoint.function, input_signature=[dict(endpoint.spec)], autograph=False
        ).get_concrete_function()
        for name, endpoint in endpoints.items()
    }
    written = tf.Module()
    # Not the model, whose variables would be written twice: those that endpoints use are tracked by
    # themselves, and those that none uses, from which kernels were precast, are left out.
    used = {id(v): v for function in functions.values() for v in function.variables}
    written.used = list(used.values())
    written.resources = _lookup_resources(model)
    # Nobody trains what is served: the gradients of kernels are left out too.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(written, str(place), signatures=functions, options=options)
    # TensorFlow 2 calls every signature a predict one; a server started with
    # --enable_signature_method_name_check wants the real names.
    saved = read_saved_model(place)
    definitions = saved.meta_graphs[0].signature_def
    for name, endpoint in endpoints.items():
        definitions[name].method_name = endpoint.method
    # Servers compare no shapes with signatures: this tells clients which columns are the user's.
    for name in user_columns if "rank" in endpoints else ():
        tensors = {column: tensor for tensor, column in endpoints["rank"].columns.items()}
        definitions["rank"].inputs[tensors[name]].tensor_shape.dim[0].size = 1
    # Requests name columns as the data do; TensorFlow does not take all of these names.
    for name, endpoint in endpoints.items():
        for tensor, column in endpoint.columns.items():
            if tensor != column:
                inputs = definitions[name].inputs
                inputs[column].CopyFrom(inputs.pop(tensor))
    (place / "saved_model.pb").write_bytes(saved.SerializeToString(deterministic=True))


def read_saved_model(place: Path) -> saved_model_pb2.SavedModel:
    """The graph and signatures of a SavedModel, as messages."""
    return saved_model_pb2.SavedModel.FromString((place / "saved_model.pb").read_bytes())


def _lookup_resources(model: keras.Model) -> list[tf.saved_model.experimental.TrackableResource]:
    """Lookup tables of the layers, also of those that a layer keeps in lists."""
    found = {
        id(part): part
        for layer in (model.features, *nested_layers(model))
        for part in tf.train.TrackableView(layer).descendants()
        if isinstance(part, tf.saved_model.experimental.TrackableResource)
    }
    return list(found.values())
