"""A job that is to lose a worker; prints how it ended as JSON.

python killed_worker.py FOLDER EPOCHS SECONDS    # a pause after each step; with TF_CONFIG set
"""

import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import keras
import numpy as np

from rankup_keras import distribution
from rankup_keras.callbacks.resume import Resume
from rankup_keras.distribution import strategies

folder, epochs, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
if seconds:  # a worker is to be lost, and to be waited for
    strategies.HEARTBEAT_TIMEOUT = 10
strategy = distribution.strategy("multi_worker")
keras.utils.set_random_seed(0)
with strategy.scope():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(), "mse", metrics=["mae"])


class Counts(keras.callbacks.Callback):
    trained = 0

    def on_train_batch_end(self, batch, logs=None):
        Counts.trained += 1
        time.sleep(seconds)


rows = np.random.default_rng(0).normal(size=(32, 2))
try:
    history = model.fit(
        rows,
        rows[:, :1],
        batch_size=8,
        epochs=epochs,
        callbacks=[Resume(folder, [Counts()], every=3)],
        verbose=0,
    )
except distribution.WorkerLostError as error:
    found = {"lost": str(error), "type": type(error).__name__}
else:
    found = {
        "epochs": history.epoch,
        "iterations": int(model.optimizer.iterations.numpy()),
        "trained_here": Counts.trained,
        "weights": [w.tolist() for w in model.get_weights()],
    }
print("RESULT " + json.dumps(found), flush=True)
