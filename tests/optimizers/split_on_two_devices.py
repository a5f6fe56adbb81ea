"""Trains with `Split` on one device and on two, in a process of its own; names what agreed."""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

# Before the package is imported: optimizers and layers start TensorFlow's runtime.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
from rankup_keras import optimizers  # noqa: E402
from rankup_keras.optimizers import split  # noqa: E402
from tests.optimizers.test_split import data, make_model, weights  # noqa: E402


def run(strategy, embeddings):
    with strategy.scope():
        model = make_model()
        model.compile(optimizers.Split(embeddings, "adam", global_clipnorm=100.0), "mse")
    rows = tf.data.Dataset.from_tensor_slices(data()).batch(16)
    model.fit(rows, epochs=3, shuffle=False, verbose=0)
    return model


def main():
    devices = ["/cpu:0", "/cpu:1"]
    for embeddings in ("adagrad", "row_wise_adagrad", "ftrl", "lazy_adam", "sgd"):
        one = run(tf.distribute.OneDeviceStrategy(devices[0]), embeddings)
        two = run(tf.distribute.MirroredStrategy(devices), embeddings)
        assert two.optimizer.iterations.numpy() == 12
        for variable in two.trainable_variables:
            first, second = (replica.numpy() for replica in variable.value.values)
            np.testing.assert_array_equal(first, second)
        for a, b in zip(weights(two), weights(one), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6)
        for a, b in zip(two.optimizer.variables, one.optimizer.variables, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-6)
        print(embeddings, *slots_of_a_table_elsewhere(embeddings), flush=True)


def slots_of_a_table_elsewhere(name):
    """Devices of the slots of a table that lies where TensorFlow puts nothing by itself."""
    with tf.device("/cpu:1"):
        table = keras.Variable(tf.zeros((4, 2)))
    optimizer = split.EMBEDDINGS[name]()
    optimizer.build([table])
    return {slot.value.device[-1] for slot in optimizer.variables if len(slot.shape)}


if __name__ == "__main__":
    main()
