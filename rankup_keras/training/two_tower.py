"""Vectors of users and items from a two-tower model, trained by TensorFlow Recommenders."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import numpy as np

from rankup_keras.layers.embeddings.pretrained_vectors import PretrainedVectors


@dataclasses.dataclass(frozen=True)
class TwoTower:
    """What a two-tower job leaves.

    Attributes:
        users: vectors of the users of the training rows, by id.
        items: vectors of the items of the training rows, by id.
        metrics: `factorized_top_k/top_1_categorical_accuracy` and its kin, on
            the validation pairs.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    users = rk.layers.PretrainedVectors("user_vector", np.array(["u1"]), np.ones((1, 4)))
    items = rk.layers.PretrainedVectors("item_vector", np.array([7, 8]), np.eye(2, 4))
    towers = rk.training.TwoTower(users, items, metrics={})
    print(towers.users.lookup(["u1"]) @ towers.items.lookup([7, 8]).T)
    ```
    """

    users: PretrainedVectors
    items: PretrainedVectors
    metrics: dict[str, float]


def train_two_tower(
    users: Any,
    items: Any,
    folder: str | pathlib.Path,
    validation: tuple[Any, Any] | None = None,
    dim: int = 32,
    epochs: int = 10,
    batch_size: int = 1024,
    learning_rate: float = 0.1,
    l2: float = 0.1,
    seed: int = 0,
    user_feature: str = "user_vector",
    item_feature: str = "item_vector",
) -> TwoTower:
    """Trains two towers on positive pairs and writes `users.npz` and `items.npz`.

    Each tower is an embedding table; the loss of a pair is softmax over the
    batch's items, `-log(exp(u·v_i - log q_i) / Σ_j exp(u·v_j - log q_j))`,
    `q_j` the item's share of the pairs: without this correction frequent items
    are pushed away for being frequent. It runs in a process of its own, because
    TensorFlow Recommenders stays on Keras 2. **Give it pairs of the training
    split only**: a pair of a test row in its vectors would leak the row's label
    into the features.

    Args:
        users: (n,) ids, integers or strings, of the training pairs.
        items: (n,) ids of the items they go with.
        folder: where the vectors and `metrics.json` are written.
        validation: (users, items) of held-out pairs for the FactorizedTopK
            metrics. Pairs with an id that training never saw are left out.
            Defaults to the training pairs.
        dim: width of the vectors. Defaults to 32.
        epochs: passes over the pairs. Defaults to 10.
        batch_size: pairs per step. Defaults to 1024.
        learning_rate: of Adagrad. Defaults to 0.1.
        l2: weight of a pair's `|u|² + |v|²` beside its loss. Defaults to 0.1.
        seed: seed of the towers and of shuffling. Defaults to 0.
        user_feature: name of the `Pretrained` feature of the users' vectors.
        item_feature: name of the `Pretrained` feature of the items' vectors.

    Returns:
        A `TwoTower`.

    Raises:
        ImportError: without the extra `[tfrs]`.
        RuntimeError: when the process fails, with the end of what it printed.
        ValueError: ids that are not integers or strings, or columns of unequal length.

    Example:

    ```python
    import importlib.util
    import rankup_keras as rk

    if importlib.util.find_spec("tensorflow_recommenders"):  # pip install 'rankup-keras[tfrs]'
        towers = rk.training.train_two_tower(
            users=["u1", "u1", "u2"], items=[7, 8, 8], folder="towers", dim=4, epochs=1
        )
        print(towers.items.lookup([7, 8]), towers.metrics)
    ```

    References:
        - Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus
          Item Recommendations", RecSys 2019 (the correction by `log q`).
    """
    for package in ("tensorflow_recommenders", "tf_keras"):
        if importlib.util.find_spec(package) is None:
            raise ImportError(
                f"`train_two_tower` needs {package}: pip install 'rankup-keras[tfrs]'."
            )
    users, items = _ids(users, "users"), _ids(items, "items")
    if len(users) != len(items) or not len(users):
        raise ValueError(
            "`users` and `items` must have equal length and not be empty. "
            f"Received: {len(users)} users, {len(items)} items."
        )
    known_users, user_index = np.unique(users, return_inverse=True)
    known_items, item_index = np.unique(items, return_inverse=True)
    held_out = user_index, item_index
    if validation is not None:
        held_out = _held_out(validation, known_users, known_items)

    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pairs, towers = folder / "pairs.npz", folder / "towers.npz"
    np.savez(
        pairs, users=user_index, items=item_index, valid_users=held_out[0], valid_items=held_out[1]
    )
    sizes = {"users": len(known_users), "items": len(known_items), "dim": dim, "seed": seed}
    steps = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "l2": l2}
    try:
        _run(folder, {**sizes, **steps})
        with np.load(towers) as found:
            np.savez(folder / "users.npz", ids=known_users, vectors=found["users"])
            np.savez(folder / "items.npz", ids=known_items, vectors=found["items"])
    finally:
        pairs.unlink(missing_ok=True)
        towers.unlink(missing_ok=True)
    return TwoTower(
        PretrainedVectors.read(folder / "users.npz", user_feature, dim),
        PretrainedVectors.read(folder / "items.npz", item_feature, dim),
        json.loads((folder / "metrics.json").read_text()),
    )


def _ids(values: Any, name: str) -> np.ndarray:
    ids = np.asarray(values)
    if ids.dtype.kind in "OT":
        odd = [x for x in ids.ravel() if not isinstance(x, str | bytes | int | np.integer)]
        if odd:
            raise ValueError(
                f"`{name}` must be integers or strings, none of them missing. "
                f"Received {len(odd)} others, such as {odd[0]!r:.80}."
            )
    if ids.dtype.kind in "OST":
        ids = np.array([x.decode() if isinstance(x, bytes) else str(x) for x in ids.ravel()])
    if ids.ndim != 1 or ids.dtype.kind not in "iuU":
        raise ValueError(
            f"`{name}` must be one column of integers or strings. "
            f"Received: {ids.dtype} of shape {ids.shape}."
        )
    return ids


def _held_out(
    validation: tuple[Any, Any], known_users: np.ndarray, known_items: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    users, items = _ids(validation[0], "validation"), _ids(validation[1], "validation")
    seen = np.isin(users, known_users) & np.isin(items, known_items)
    if not seen.any():
        raise ValueError("No pair of `validation` has both a user and an item seen in training.")
    return np.searchsorted(known_users, users[seen]), np.searchsorted(known_items, items[seen])


def _run(folder: pathlib.Path, settings: dict[str, Any]) -> None:
    script = pathlib.Path(__file__).with_name("two_tower_job.py")
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder), json.dumps(settings)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise RuntimeError(f"The two-tower job failed:\n{done.stderr[-2000:]}")
