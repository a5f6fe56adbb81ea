"""What the programs of these tests train: a small RankUp on raw rows, strings among them."""

import keras
import numpy as np
import tensorflow as tf

from rankup_keras import Categorical, FeatureSet, History, Numeric, RankUp, Task, optimizers

BATCH, STEPS = 24, 50


def columns(rows, seed):
    random = np.random.default_rng(seed)
    taste = random.normal(size=30)
    item = random.integers(0, 30, rows)
    price = random.normal(size=rows).astype(np.float32)
    wants = taste[item] + 0.7 * price
    return {
        "user": np.array([f"u{n}" for n in random.integers(0, 40, rows)]),
        "item": np.array([f"i{n}" for n in item]),
        "history": np.array(
            [[f"i{n}" for n in line] for line in random.integers(0, 30, (rows, 3))]
        ),
        "price": price,
        "click": (wants + random.normal(size=rows) > 0).astype(np.float32),
        "buy": (wants + random.normal(size=rows) > 1).astype(np.float32),
    }


TRAIN, VALID = columns(BATCH * STEPS, 1), columns(10 * BATCH, 2)


def make_model(optimizer=None, compiled=False):
    keras.utils.set_random_seed(7)
    features = FeatureSet(
        [
            Categorical("user", hash_buckets=50),
            Categorical("item", vocabulary=[f"i{n}" for n in range(30)]),
            History("history", of="item", max_length=3),
            Numeric("price", normalize=None),
        ]
    )
    model = RankUp(features, [Task("click"), Task("buy", weight=2.0)], token_dim=12, num_blocks=1)
    optimizer = optimizer or optimizers.Split("adagrad", keras.optimizers.Adagrad(0.05))
    model.compile(optimizer, jit_compile=compiled)
    return model


def plain_and_compiled(strategy):
    """Losses and metrics of a few steps without and with XLA, and what XLA took."""
    found = []
    for compiled in (False, True):
        with strategy.scope():
            model = make_model(compiled=compiled)
        rows = {name: column[: 2 * BATCH] for name, column in TRAIN.items()}
        history = model.fit(batches(rows), epochs=2, verbose=0).history
        found.append({key: values[-1] for key, values in history.items()})
    return [*found, model.compiled_region().takes_training(None)]


def batches(data, batch=BATCH):
    return tf.data.Dataset.from_tensor_slices(data).batch(batch)


def train_and_report(strategy, folder, name):
    """Trains 50 steps, evaluates and predicts; writes weights and predictions, returns numbers."""
    with strategy.scope():
        model = make_model()
    history = model.fit(batches(TRAIN), epochs=1, verbose=0).history
    found = model.evaluate(batches(VALID), return_dict=True, verbose=0)
    predicted = model.predict(batches(VALID), verbose=0)
    np.savez(
        folder / f"{name}.npz",
        **{f"weight_{i}": np.asarray(v) for i, v in enumerate(model.get_weights())},
        **{
            f"slot_{i}": keras.ops.convert_to_numpy(v)
            for i, v in enumerate(model.optimizer.variables)
        },
        **{f"predicted_{task}": values for task, values in predicted.items()},
    )
    return {
        "history": {key: values[-1] for key, values in history.items()},
        "evaluated": found,
        "replicas": strategy.num_replicas_in_sync,
        "iterations": int(model.optimizer.iterations.numpy()),
    }
