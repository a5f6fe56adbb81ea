"""A training with everything that must go on after a kill; also a program that can be killed.

python resume_run.py FOLDER [EVERY] [EPOCHS]     # writes FOLDER/final.npz, final.json
"""

import json
import pathlib
import sys
import time
import warnings

import keras
import numpy as np
import tensorflow as tf

from rankup_keras import RankMixer, optimizers
from rankup_keras.callbacks import EffectiveRank
from rankup_keras.callbacks.resume import Resume
from rankup_keras.features import Categorical, FeatureSet, Numeric

EPOCHS, BATCHES, BATCH = 3, 8, 16


def rows(seed, count=BATCHES * BATCH):
    random = np.random.default_rng(seed)
    item = random.integers(0, 30, count)
    return {
        "item": np.array([f"i{n}" for n in item]),
        "user": np.array([f"u{n}" for n in random.integers(0, 30, count)]),
        "price": random.normal(size=count).astype(np.float32),
        "click": (random.normal(size=count) + item / 15 > 1).astype(np.float32),
    }


def make_model(jit_compile="auto"):
    features = FeatureSet(
        [
            Categorical("item", hash_buckets=31, embedding_dim=4),
            Categorical("user", hash_buckets=31, embedding_dim=4),
            Numeric("price", normalize=None),
        ]
    )
    model = RankMixer(
        features, ["click"], token_dim=8, num_tokens=2, num_blocks=1, dropout=0.2, embedding_dim=4
    )
    model.compile(optimizers.Split("adagrad", "adam"), jit_compile=jit_compile)
    return model


class Slow(keras.callbacks.Callback):
    """Leaves time to be killed in."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.02)


def data(kind):
    train = rows(1)
    if kind == "arrays":
        return {"x": train, "batch_size": BATCH}
    dataset = tf.data.Dataset.from_tensor_slices(train).shuffle(64).batch(BATCH)
    if kind == "unknown":
        dataset = dataset.filter(lambda batch: True)
    if kind == "stream":
        return {"x": dataset.repeat(), "steps_per_epoch": BATCHES}
    return {"x": dataset}


def run(folder, every=3, epochs=EPOCHS, kind="dataset", extra=(), resume=True, jit="auto", **fit):
    """Trains in `folder`, from the start or from where it was; returns what there is at the end."""
    folder = pathlib.Path(folder)
    keras.utils.set_random_seed(3)
    model = make_model(jit)
    ranks = EffectiveRank(
        rows(2, 32), frequency=3, probe_samples=16, path=folder / "ranks.jsonl", table_rows=0
    )
    stop = keras.callbacks.EarlyStopping(
        "val_loss", patience=50, restore_best_weights=True, start_from_epoch=0
    )
    table = keras.callbacks.CSVLogger(str(folder / "log.csv"))
    inner = [ranks, stop, table, *extra]
    callbacks = [Resume(folder / "checkpoints", inner, every)] if resume else inner
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`shuffle=True` was passed")
        warnings.filterwarnings("ignore", "Your input ran out of data")
        warnings.filterwarnings("ignore", ".*rank.*|.*token.*|.*collapsed.*")
        try:
            history = model.fit(
                **data(kind),
                epochs=epochs,
                validation_data=rows(4, 40),
                callbacks=callbacks,
                verbose=0,
                **fit,
            )
        finally:
            # A killed process would close it; it writes every line at once.
            if table.csv_file is not None:
                table.csv_file.close()
    return {
        "weights": [np.array(w) for w in model.get_weights()],
        "slots": [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables],
        "best": [np.array(w) for w in stop.best_weights],
        "history": history.history,
        "epochs": history.epoch,
        "stop": [stop.wait, float(stop.best), stop.best_epoch],
        "ranks": [without_clock(json.loads(p.to_json())) for p in ranks.profiles],
        "rank_file": [
            without_clock(json.loads(line))
            for line in (folder / "ranks.jsonl").read_text().splitlines()
        ],
        "csv": (folder / "log.csv").read_text(),
    }


def without_clock(profile):
    return {key: value for key, value in profile.items() if key != "seconds"}


def main(folder, every=3, epochs=EPOCHS):
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    found = run(folder, int(every), int(epochs), extra=[Slow()])
    arrays = {
        f"{name}_{index}": array
        for name in ("weights", "slots", "best")
        for index, array in enumerate(found.pop(name))
    }
    np.savez(pathlib.Path(folder) / "final.npz", **arrays)
    (pathlib.Path(folder) / "final.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
