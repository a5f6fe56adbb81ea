"""Runs the callback under a strategy, in a process of its own; prints what it saw as JSON.

python under_strategies.py mirrored FOLDER
python under_strategies.py worker FOLDER     # with TF_CONFIG set
"""

import json
import os
import pathlib
import sys
import warnings

import tensorflow as tf

kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
# Before anything starts TensorFlow's runtime.
if kind == "mirrored":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
else:
    strategy = tf.distribute.MultiWorkerMirroredStrategy()

import keras  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
from rankup_keras.callbacks import EffectiveRank  # noqa: E402
from rankup_keras.diagnostics import rank_profile  # noqa: E402
from tests.diagnostics.networks import Tied, column_rows, token_network  # noqa: E402


def mirrored():
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = token_network()
    x, y = column_rows()
    callback = EffectiveRank(column_rows(), path=folder / "ranks.jsonl", log_dir=folder)
    history = model.fit(x, y, batch_size=16, epochs=2, verbose=0, callbacks=[callback]).history
    after = rank_profile(model, column_rows())
    return {
        "replicas": strategy.num_replicas_in_sync,
        "history": history["effective_rank/block_2_ffn"],
        "after": after.layers["block_2_ffn"].mean,
        "control": callback.control.layers["block_2_ffn"].mean,
    }


def worker():
    """The callback's own steps: each worker has other rows to measure on."""
    index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = token_network({"block_2_ffn": lambda name: Tied(name=name)})
    own = folder / f"worker_{index}"
    callback = EffectiveRank(
        column_rows(seed=index), path=own / "ranks.jsonl", log_dir=own / "board", logs="all"
    )
    callback.set_model(model)
    logs = {"loss": 0.5}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        callback.on_train_begin()
        callback.on_epoch_begin(0)
        callback.on_epoch_end(0, logs)
        callback.on_train_end()
    return {
        "own": callback.profiles[-1].layers["tokens"].mean,
        "seen": logs["effective_rank/tokens"],
        "warned": sum("collapsed" in str(item.message) for item in caught),
        "wrote": own.exists(),
    }


print("RESULT " + json.dumps(mirrored() if kind == "mirrored" else worker()))
