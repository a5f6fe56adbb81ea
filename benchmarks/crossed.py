"""Vectors of MovieLens-100k's users and items for the crossed token, from the training rows alone.

    python -m benchmarks.crossed --seeds 5

trains and describes them: how well they order pairs by themselves, and in how many seconds.
"""

import argparse
import getpass
import hashlib
import json
import pathlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.quality_metrics import auc
from benchmarks.quality_tables import Table, load
from rankup_keras.data import random_split
from rankup_keras.layers.embeddings import PretrainedVectors
from rankup_keras.training import train_two_tower

VECTORS = ("user_vector", "item_vector")
# Found on validation rows of seed 0.
SETTINGS: dict[str, Any] = {
    "dim": 32,
    "epochs": 10,
    "batch_size": 1024,
    "learning_rate": 0.1,
    "l2": 0.1,
}


def crossed_vectors(
    seed: int,
    settings: dict[str, Any] = SETTINGS,
    folder: pathlib.Path | None = None,
    table: Table | None = None,
) -> tuple[pathlib.Path, pathlib.Path]:
    """The files of the users' and the items' vectors for one seed's split.

    The towers see the liked pairs among the first 80 % of
    `numpy.random.RandomState(seed).permutation`; ids that occur in no such
    pair have no vector. A second call with the same arguments reads the files
    that the first one left.

    Args:
        seed: of the split and of the towers.
        settings: what `train_two_tower` takes.
        folder: where the files are kept. Defaults to a folder per user in the
            system's temporary folder.
        table: the rows, where they are at hand. Defaults to MovieLens-100k.

    Returns:
        Two NPZ files with the arrays `ids` (strings: `user_id` and `item_id`)
        and `vectors` (n, dim).
    """
    table = table or load("movielens", None)
    train, valid, _ = random_split(len(table.labels), seed)
    pairs = [_liked(table, rows) for rows in (train, valid)]
    key = hashlib.sha256(json.dumps([seed, settings], sort_keys=True).encode())
    for column in (*pairs[0], *pairs[1]):
        key.update("\n".join(column).encode())
    folder = (
        folder or pathlib.Path(tempfile.gettempdir()) / f"rankup_keras_crossed_{getpass.getuser()}"
    )
    own = folder / f"seed_{seed}_{key.hexdigest()[:16]}"
    files = own / "users.npz", own / "items.npz"
    if not own.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        # In a folder beside it first: one that was broken off halfway must not look complete.
        unfinished = pathlib.Path(tempfile.mkdtemp(dir=folder))
        try:
            train_two_tower(*pairs[0], unfinished, validation=pairs[1], seed=seed, **settings)
            unfinished.rename(own)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return files


def _liked(table: Table, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = rows[table.labels[rows] > 0.5]
    return table.columns["user_id"][rows], table.columns["item_id"][rows]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=1)
    for name, value in SETTINGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--folder", type=pathlib.Path)
    options = parser.parse_args(arguments)
    settings = {name: getattr(options, name) for name in SETTINGS}
    table = load("movielens", None)
    for seed in range(options.seeds):
        start = time.perf_counter()
        files = crossed_vectors(seed, settings, options.folder, table)
        seconds = time.perf_counter() - start
        users, items = (PretrainedVectors.read(file, file.stem) for file in files)
        found = {}
        parts = ("train", "valid")
        for part, rows in zip(parts, random_split(len(table.labels), seed), strict=False):
            scores = np.sum(
                users.lookup(table.columns["user_id"][rows])
                * items.lookup(table.columns["item_id"][rows]),
                axis=1,
            )
            found[f"{part}_auc_of_dot_product"] = round(auc(table.labels[rows], scores), 4)
        metrics = json.loads((files[0].parent / "metrics.json").read_text())
        found |= {
            f"valid_top_{k}": round(metrics[f"factorized_top_k/top_{k}_categorical_accuracy"], 4)
            for k in (10, 100)
        }
        sizes = {"users": len(users), "items": len(items)}
        print(json.dumps({"seed": seed, "seconds": round(seconds, 1), **sizes, **found}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
