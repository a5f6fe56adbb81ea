"""Arrays given to `fit` under two replicas, in a process of its own; prints what it says."""

import os
import pathlib
import sys
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

# XLA writes down what it compiles.
DUMP = tempfile.TemporaryDirectory()
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={DUMP.name}"
# Before anything starts TensorFlow's runtime.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import rankup_keras as rk  # noqa: E402
from rankup_keras.models.batches_ahead import OPTIONS, BatchesAhead  # noqa: E402

# One for the process: the collectives of two would be taken for each other's.
STRATEGY = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])


def trained(rows, compiled, ahead=False):
    """A model trained on two replicas, the last batch a smaller one."""
    features = rk.FeatureSet([rk.Numeric("a"), rk.Categorical("b", hash_buckets=5)]).adapt(rows)
    keras.utils.set_random_seed(0)
    with STRATEGY.scope():
        model = rk.RankMixer(features, ["click"], token_dim=4, num_tokens=2, num_blocks=1)
        optimizer = rk.optimizers.Split("adagrad", "adam")
        metrics = [rk.metrics.GAUC("b")]
        model.compile(optimizer, metrics=metrics, jit_compile=compiled, prefetch_to_device=ahead)
    model.fit(rows, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return model


def main():
    rows = {"a": np.arange(12.0), "b": ["x", "y"] * 6, "click": np.arange(12) % 2}
    # Where XLA refused a replica's step, a warning would say so.
    warnings.filterwarnings("error", ".*runs as a plain graph")
    plain, compiled = (trained(rows, jit) for jit in (False, True))
    try:
        plain.fit(rows, batch_size=3, verbose=0)
    except ValueError as error:
        print(error)
    print(plain.optimizer.iterations.numpy())
    gaps = [
        np.abs(keras.ops.convert_to_numpy(one) - keras.ops.convert_to_numpy(other)).max()
        for one, other in zip(plain.weights, compiled.weights, strict=True)
    ]
    written = [file.name for file in pathlib.Path(DUMP.name).glob("*_train_*before_optimizations*")]
    print(compiled.compiled_region().full_batch("train"), max(gaps) < 1e-6, len(written))
    found = compiled.evaluate(rows, batch_size=4, verbose=0, return_dict=True)["gauc"]
    encoded, gauc = compiled.encode(rows), rk.metrics.GAUC("b").bind(compiled.features)
    gauc.read_groups(encoded)
    gauc.update_state(rows["click"], compiled(encoded)["click"])
    print(abs(found - float(gauc.result())) < 1e-6)
    ahead = trained(rows, False, ahead=True)
    print(all(map(np.array_equal, ahead.get_weights(), plain.get_weights())), *where_batches_are())
    one_device = tf.distribute.get_strategy()
    updates = [with_half_of_the_labels(rows, strategy) for strategy in (one_device, STRATEGY)]
    print(max(np.abs(a - b).max() for a, b in zip(*updates, strict=True)) < 1e-5)


def where_batches_are():
    """Devices of a batch that was placed ahead: labels, ids, events; without replicas and with."""
    x = {"encoded_ids": np.zeros((4, 1), np.int32), "encoded_events": np.zeros((4, 2), np.float32)}
    data = tf.data.Dataset.from_tensors((x, np.zeros((4, 1), np.float32))).unbatch().batch(4)
    data = data.repeat(2)
    distributed = STRATEGY.experimental_distribute_dataset(data, OPTIONS)
    for source, devices in ((data, ["/cpu:1"]), (distributed, ["/cpu:0", "/cpu:1"])):
        x, y = next(iter(BatchesAhead(source, devices)))
        for value in (y, x["encoded_ids"], x["encoded_events"]):
            parts = STRATEGY.experimental_local_results(value)
            yield "+".join(part.device[-1] for part in parts)


def with_half_of_the_labels(rows, strategy):
    """A step's loss and update, where labels are all in the second half of the batch."""
    rows = {**rows, "click": np.where(np.arange(12) < 6, np.nan, 1.0)}
    features = rk.FeatureSet([rk.Numeric("a"), rk.Categorical("b", hash_buckets=5)]).adapt(rows)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        task = rk.Task("click", missing_labels="skip")
        model = rk.RankMixer(features, [task], token_dim=4, num_tokens=2, num_blocks=1)
        model.compile(rk.optimizers.Split("sgd", "sgd"), jit_compile=False)
    before = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    history = model.fit(rows, batch_size=12, shuffle=False, verbose=0).history
    after = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    return [np.array(history["loss"]), *(a - b for a, b in zip(after, before, strict=True))]


main()
