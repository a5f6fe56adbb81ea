"""Trains a mixture of experts on two devices, in a process of its own."""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

# Before the package is imported: layers start TensorFlow's runtime.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))
from rankup_keras.layers.mixers import PerTokenMoE  # noqa: E402


def main():
    keras.utils.set_random_seed(8)
    x = np.random.default_rng(0).normal(size=(64, 3, 4)).astype("float32")
    with tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]).scope():
        inputs = keras.Input((3, 4))
        layer = PerTokenMoE(2, target_share=0.5, name="moe")
        model = keras.Model(inputs, layer(inputs))
        model.compile("adam", "mse")
    history = model.fit(x, x, batch_size=32, epochs=2, verbose=0).history
    first, second = (replica.numpy() for replica in layer.coefficient.value.values)
    np.testing.assert_array_equal(first, second)
    # Four steps, on each of which the share was above its target. A token that had all its
    # experts open grows by the whole rate each time, four roundings to float32.
    assert np.all((first > 1e-3) & (first <= 1e-3 * 1.2**4 * (1 + 1e-6)))
    assert 0.5 < history["moe_active_share"][-1] <= 1.0
    print("agreed")


if __name__ == "__main__":
    main()
