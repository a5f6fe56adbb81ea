"""One program, the strategy by name; prints what it found as JSON.

python under_strategy.py mirrored FOLDER
python under_strategy.py multi_worker FOLDER     # with TF_CONFIG set
"""

import json
import os
import pathlib
import sys

import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
# Before anything starts TensorFlow's runtime.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * (2 if kind == "mirrored" else 1),
)

import keras  # noqa: E402
import numpy as np  # noqa: E402

from rankup_keras import FeatureSet, Numeric, distribution, durable  # noqa: E402
from rankup_keras.compat import multi_worker  # noqa: E402
from rankup_keras.data import Files  # noqa: E402
from rankup_keras.distribution.worker_lost import tells_lost_workers  # noqa: E402
from tests.distribution.training_run import plain_and_compiled, train_and_report  # noqa: E402


def rows_seen_once(strategy, rows, data=None, batch=8):
    """How often one epoch over shuffled arrays trains each row, remainder batch included."""
    with strategy.scope():
        inputs = keras.Input((), dtype="int32")
        x = keras.layers.Embedding(rows, 1, embeddings_initializer="zeros")(inputs)
        model = keras.Model(inputs, x)
        model.compile(keras.optimizers.SGD(1.0), lambda y, p: p * tf.cast(batch, p.dtype))
    if data is None:
        model.fit(np.arange(rows), np.zeros((rows, 1)), batch_size=batch, epochs=1, verbose=0)
    else:
        model.fit(data, shuffle=False, verbose=0)
    return (-model.get_weights()[0][:, 0]).round(3).tolist()


def _row_numbers(columns):
    return tf.cast(columns["id"], tf.int32), columns["id"][:, None]


def files_under(strategy):
    """How often an epoch of files trains each row, and what is said of what cannot be shared."""
    place = folder / f"rows_{os.getpid()}"  # a worker must not find the files of another changed
    place.mkdir(exist_ok=True)
    for name in range(4):
        lines = [str(i) for i in range(6 * name, 6 * name + 6)]
        durable.write_text(place / f"{name}.csv", "\n".join(["id", *lines, ""]))
    files = Files(place, FeatureSet([Numeric("id", normalize=None)]))
    found = {}
    for name, settings in {
        "seen": {"batch_size": 8, "shuffle": True, "seed": 1},
        "uneven": {"batch_size": 7},
        "shards": {"batch_size": 8, "shard": (0, 2)},
    }.items():
        rows = files.dataset(**settings).map(
            lambda c: (tf.cast(c["id"], tf.int32), c["id"][:, None])
        )
        try:
            found[name] = rows_seen_once(strategy, 24, rows)
        except ValueError as error:
            found[name] = str(error)
    return found


def upstream_still_fails(strategy):
    """Which of Keras's own functions raise under several workers; see `compat/multi_worker.py`."""
    multi_worker.unmend_fit()
    failed = []
    module = multi_worker.trainer_module()
    try:
        spread = strategy.run(lambda: tf.constant(1.0))
        module.reduce_per_replica({"loss": spread}, strategy, "auto")
    except Exception as error:
        failed.append(f"reduce_per_replica: {type(error).__name__}")
    try:
        with strategy.scope():
            model = keras.Sequential(
                [keras.layers.Lambda(tf.strings.length), keras.layers.Dense(1)]
            )
            model.compile("sgd", "mse")
        words = tf.data.Dataset.from_tensors((tf.constant([["a"], ["b"]]), tf.zeros((2, 1))))
        iterator = strategy.experimental_distribute_dataset(words)
        model._maybe_symbolic_build(iterator=[(0, 0, iter(iterator))])
    except Exception as error:
        failed.append(f"_maybe_symbolic_build: {type(error).__name__}")
    multi_worker.mend_fit(tells_lost_workers)
    return failed


def main():
    if kind == "mirrored":
        strategy = distribution.strategy("mirrored", devices=["cpu:0", "cpu:1"])
        one = distribution.strategy("cpu")
        found = {"one": train_and_report(one, folder, "one")}
        found["many"] = train_and_report(strategy, folder, "mirrored")
        try:
            strategy.experimental_distribute_dataset(tf.data.Dataset.range(9).batch(3))
        except ValueError as error:
            found["uneven"] = str(error)
    else:
        strategy = distribution.strategy("multi_worker")
        index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
        shuffled = tf.random.uniform((), 0, 2**30, tf.int32).numpy().item()
        found = {"same_seed": shuffled, "upstream": upstream_still_fails(strategy)}
        found["many"] = train_and_report(strategy, folder, f"worker_{index}")
        found["compiled"] = plain_and_compiled(strategy)
    found["files"] = files_under(strategy)
    found["seen"] = {rows: rows_seen_once(strategy, rows) for rows in (26, 25)}
    print("RESULT " + json.dumps(found), flush=True)


main()
