"""What of a table on the host goes to the GPU, in a process of its own: a second CPU is the host.

The first device is where TensorFlow puts what it is not told, as a GPU is elsewhere.
"""

import pathlib
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_callbacks

# Before anything starts TensorFlow's runtime.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))

import rankup_keras as rk  # noqa: E402
from rankup_keras.compat import weight_files  # noqa: E402
from rankup_keras.layers.embeddings import field_embedding  # noqa: E402

TABLE = 2000
ROWS = {"item": [f"i{i}" for i in range(8)], "click": [0, 1] * 4}
large: list[str] = []


def watch(kind, inputs, attributes, outputs, op_name=None, graph=None):
    for tensor in outputs or ():
        if graph is None and tensor.shape.num_elements() and tensor.dtype != tf.string:
            whole = tensor.shape.num_elements() >= TABLE
            if whole and not tensor.device.endswith("CPU:1"):
                large.append(tf.compat.as_str(kind))


def model_of(optimizer):
    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=TABLE)])
    model = rk.RankMixer(features, ["click"], 4, 1, num_blocks=1, embedding_dim=1)
    model.compile(rk.optimizers.Split(optimizer, "adam"), metrics=["binary_accuracy"])
    return model


def doing(name):
    print(name, *sorted(set(large)), flush=True)
    large.clear()


def main(optimizer):
    weight_files.BLOCK = TABLE  # a table of 8,000 bytes is a large one
    field_embedding.near_enough = lambda *_: tf.device("/cpu:1")
    op_callbacks.add_op_callback(watch)
    model = model_of(optimizer)
    doing("make")
    model.fit(ROWS, epochs=3, callbacks=[rk.callbacks.FreshTables()], verbose=0)
    doing("train")
    (layer,) = [layer for layer in model.layers if isinstance(layer, rk.layers.FieldEmbedding)]
    layer.set_tables({key: table + 1 for key, table in layer.get_tables().items()})
    doing("write")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        doing("save")
        again = keras.models.load_model(path)
        doing("load")
    for one, other in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    large.clear()
    again.fit(ROWS, verbose=0)
    doing("resume")


main(sys.argv[1])
