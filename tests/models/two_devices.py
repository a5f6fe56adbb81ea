"""Arrays given to `fit` under two replicas, in a process of its own; prints what it says."""

import contextlib
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
from rankup_keras.distribution.ahead_of_time.training_step import lower  # noqa: E402
from rankup_keras.models.batches_ahead import OPTIONS, BatchesAhead  # noqa: E402
from rankup_keras.models.dense_part import dense_part  # noqa: E402

# One for the process: the collectives of two would be taken for each other's.
STRATEGY = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
HALVES = slice(0, 6), slice(6, 12)


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
    equal = all(map(np.array_equal, ahead.get_weights(), plain.get_weights()))
    print(equal, *where_batches_are(plain))
    ways = [(tf.distribute.get_strategy(), False), (STRATEGY, False), (STRATEGY, True)]
    alone, *updates = [with_half_of_the_labels(rows, *way) for way in ways]
    pairs = [pair for update in updates for pair in zip(alone, update, strict=True)]
    print(max(np.abs(a - b).max() for a, b in pairs) < 1e-5)
    print(*on_the_other_device(rows))
    print(*experts(rows))
    print(*several_steps(rows), sep=" | ")


def where_batches_are(model):
    """Devices of labels, ids, events: placed ahead without replicas and with, then not ahead."""
    x = {"encoded_ids": np.zeros((4, 1), np.int32), "encoded_events": np.zeros((4, 2), np.float32)}
    data = tf.data.Dataset.from_tensors((x, np.zeros((4, 1), np.float32))).unbatch().batch(4)
    data = data.repeat(2)
    distributed = STRATEGY.experimental_distribute_dataset(data, OPTIONS)
    with model._fed():
        fed = STRATEGY.experimental_distribute_dataset(data)
    ahead = BatchesAhead(data, ["/cpu:1"]), BatchesAhead(distributed, ["/cpu:0", "/cpu:1"])
    for batches in (*ahead, fed):
        x, y = next(iter(batches))
        for value in (y, x["encoded_ids"], x["encoded_events"]):
            parts = STRATEGY.experimental_local_results(value)
            yield "+".join(part.device[-1] for part in parts)


def on_the_other_device(rows):
    """Losses of a batch where TensorFlow would put nothing by itself, and where weights lie."""
    other = tf.distribute.OneDeviceStrategy("/cpu:1")
    rows = {**rows, "buy": rows["click"]}
    strategy = other.scope()
    for scope in (contextlib.nullcontext(), tf.device("/cpu:1"), strategy):
        keras.utils.set_random_seed(0)
        features = rk.FeatureSet([rk.Numeric("a"), rk.Categorical("b", hash_buckets=5)]).adapt(rows)
        with scope:
            # Keras makes the means of their losses later.
            model = rk.RankMixer(features, ["click", "buy"], 4, 2, num_blocks=1)
            model.compile(jit_compile=True)
        loss = model.fit(rows, batch_size=12, shuffle=False, epochs=2, verbose=0).history["loss"]
        yield f"{loss[-1]:.6f}"
        weights = [*model.variables, *model.optimizer.variables]
        (device,) = {v.value.device for v in weights if "metric" not in v.path}
        yield device[-1]
        if scope is not strategy:  # what `gpu_check` compiles
            yield len(lower(model, dense_part(model), 4)) > 1000


def with_experts(features, compiled):
    keras.utils.set_random_seed(0)
    network = {"kind": "moe", "num_experts": 2, "target_share": 0.5}
    model = rk.RankMixer(features, ["click"], 4, 2, num_blocks=1, ffn=network)
    model.compile(rk.optimizers.Split("adagrad", "adam"), jit_compile=compiled)
    return model


def loss_of(model, rows):
    """Of the first step, of which each replica sees a part."""
    return model.fit(rows, batch_size=12, shuffle=False, verbose=0).history["loss"][0]


def experts(rows):
    """Whether replicas train `moe`, whose penalty they move together, as they should.

    Compiled or not, to the bit but for rounding; with the mean of the losses of their halves.
    """
    features = rk.FeatureSet([rk.Numeric("a"), rk.Categorical("b", hash_buckets=5)]).adapt(rows)
    halves = [{name: values[part] for name, values in rows.items()} for part in HALVES]
    wanted = np.mean([loss_of(with_experts(features, False), half) for half in halves])
    models = []
    for compiled in (False, True):
        with STRATEGY.scope():
            model = with_experts(features, compiled)
        yield abs(loss_of(model, rows) - wanted) < 1e-6
        model.train_on_batch(rows)
        # The last batch is a smaller one, which runs as a plain graph.
        model.fit(rows, batch_size=8, epochs=2, shuffle=False, verbose=0)
        models.append(model)
    pairs = zip(*(model.get_weights() for model in models), strict=True)
    yield max(np.abs(a - b).max() for a, b in pairs) < 1e-6
    layer = models[1].get_layer("block_1_ffn").layer
    moved = keras.ops.convert_to_numpy(layer.coefficient) / layer.penalty
    yield bool(np.abs(moved - 1).max() > 1e-3)


def several_steps(rows):
    """What is said of several steps in one function, and what Keras's own model does."""
    features = rk.FeatureSet([rk.Numeric("a"), rk.Categorical("b", hash_buckets=5)]).adapt(rows)
    with STRATEGY.scope():
        model = rk.RankMixer(features, ["click"], 4, 2, num_blocks=1)
        inputs = keras.Input((1,))
        plain = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        plain.compile("sgd", "mse", steps_per_execution=2, jit_compile=False)
    try:
        model.compile(steps_per_execution=2)
    except ValueError as error:
        yield error
    try:
        plain.fit(np.ones((16, 1)), np.ones((16, 1)), batch_size=4, verbose=0)
    except tf.errors.InvalidArgumentError as error:
        yield type(error).__name__


def with_half_of_the_labels(rows, strategy, compiled):
    """A step's loss and update, where labels are all in the second half of the batch.

    A layer's own loss is a mean over rows, with or without a label.
    """
    rows = {**rows, "click": np.where(np.arange(12) < 6, np.nan, 1.0)}
    features = rk.FeatureSet([rk.Numeric("a"), rk.Categorical("b", hash_buckets=5)]).adapt(rows)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        task = rk.Task("click", missing_labels="skip")
        network = {"kind": "sparse_moe", "num_experts": 3, "num_active": 2, "z_loss": 0.5}
        model = rk.RankMixer(features, [task], 4, 2, num_blocks=1, ffn=network)
        model.compile(rk.optimizers.Split("sgd", "sgd"), jit_compile=compiled)
    before = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    history = model.fit(rows, batch_size=12, shuffle=False, verbose=0).history
    after = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    return [np.array(history["loss"]), *(a - b for a, b in zip(after, before, strict=True))]


main()
