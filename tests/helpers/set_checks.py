"""What the tests of the public sets look at."""

import numpy as np

import rankup_keras as rk


def first_batch(files, size=1000):
    columns, labels = next(iter(files.dataset(size)))
    return {k: v.numpy() for k, v in columns.items()}, {k: v.numpy() for k, v in labels.items()}


def count_rows(*files):
    return [sum(table.num_rows for table in part.tables(1000)) for part in files]


def check_training(data):
    data.adapt()
    model = rk.DLRM(data.features, data.tasks, embedding_dim=4, bottom_units=(8,), top_units=(8,))
    model.compile()
    history = model.fit(data.train.dataset(64, shuffle=True), epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0])
