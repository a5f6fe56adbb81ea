"""Arrays given to `fit` under two replicas, in a process of its own; prints what it says."""

import pathlib
import sys

import numpy as np
import tensorflow as tf

# Before anything starts TensorFlow's runtime.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import rankup_keras as rk  # noqa: E402


def main():
    rows = {"a": np.arange(12.0), "b": ["x", "y"] * 6, "click": np.arange(12) % 2}
    features = rk.FeatureSet([rk.Numeric("a"), rk.Categorical("b", hash_buckets=5)]).adapt(rows)
    with tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]).scope():
        model = rk.RankMixer(features, ["click"], token_dim=4, num_tokens=2, num_blocks=1)
        model.compile("sgd")
    try:
        model.fit(rows, batch_size=3, verbose=0)
    except ValueError as error:
        print(error)
    print(model.optimizer.iterations.numpy())
    model.fit(rows, batch_size=4, verbose=0)
    print(model.optimizer.iterations.numpy())


main()
