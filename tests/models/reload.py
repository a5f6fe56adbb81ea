"""Scores raw rows by saved models, with the package and NumPy alone: `reload.py rows models`."""

import json
import sys

import keras
import numpy as np

import rankup_keras  # noqa: F401 it loads on demand; Keras, imported after it, finds its classes

rows, paths = sys.argv[1], sys.argv[2:]
with open(rows) as file:
    columns = json.load(file)
for path in paths:
    model = keras.saving.load_model(path)
    scores = model.predict(columns, verbose=0)
    np.savez(path + ".npz", **scores)
