"""From a trained model to a version directory that `tensorflow_model_server` serves."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from rankup_keras.kernels.program import made_for
from rankup_keras.serving.exporting.description import ExportDescription
from rankup_keras.serving.exporting.export_check import check_export
from rankup_keras.serving.exporting.model_card import make_card, write_card
from rankup_keras.serving.exporting.signatures import build_endpoints
from rankup_keras.serving.exporting.version_directory import publish, unpublished_directory
from rankup_keras.serving.exporting.writing import write_export


def export(
    model: keras.Model,
    path: str | os.PathLike,
    version: int | None = None,
    warmup: Any = None,
    signatures: Sequence[str] | None = None,
    user_columns: Sequence[str] | None = None,
    batch_sizes: Sequence[int] = (1, 10, 100),
    batching: bool = False,
    metrics: Mapping[str, float] | None = None,
    effective_rank: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    pooled: str = "pooling",
    device: str = "cpu",
) -> Path:
    """Writes `<path>/<version>/`, checked and complete, or nothing at all.

    The preprocessing of `model.features` is part of the graph, so a request carries raw columns
    and returns named probabilities. The directory is written under a name that servers ignore; it
    is loaded as a C++ server loads it and compared with the model; and it is renamed into place in
    one step. A running server that watches `path` picks it up without losing a request.

    Args:
        model: a model of this package, or any `keras.Model` over encoded columns with an attribute
            `features` (a `FeatureSet`).
        path: the model's base path, e.g. `"saved_models/ranker"`: local, since a rename is what
            makes the swap atomic. Its last part is the name that the model is served under.
        version: the version's number. Defaults to one above the highest there.
        warmup: real raw rows: a dict of columns, pandas frame, pyarrow table or batched
            `tf.data.Dataset`. The first 1000 are compared with the model's predictions, and
            warm-up records are made of them, so that a new version's first requests are as fast as
            the rest. Without them there are no records, and rows of missing values are compared.
        signatures: names among `serving_default`, `rank`, `classify`, `regress` (`regress_<task>`
            for tasks after the first) and `embed`. Defaults to all that the model can have.
        user_columns: the columns that a `rank` request sends once. Defaults to the features with
            `side="user"`.
        batch_sizes: batch sizes to warm up; with `batching`, also the server's
            `allowed_batch_sizes`. Defaults to `(1, 10, 100)`.
        batching: whether the server will batch requests together. Such a server refuses columns
            of unequal length, so there is no `rank`; `Client.rank` then repeats the user's
            columns. Defaults to `False`.
        metrics: numbers for the model card. Defaults to the last epoch's, where the model was
            trained in this process.
        effective_rank: effective rank by layer, for the model card. Defaults to what
            `diagnostics.rank_profile` measures on the first 256 rows of `warmup`.
        tolerance: largest difference from the model's own probabilities. Defaults to 1e-6, or 0.02
            where a layer computes in half precision.
        pooled: name of the layer whose output `embed` returns. Defaults to `"pooling"`.
        device: what the servers compute with, `"cpu"` or `"gpu"`: for a GPU the graph has one
            product for all tokens of a layer, for CPUs one for each. Either runs on both. Defaults
            to `"cpu"`.

    Returns:
        The version directory.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"user": ["u1", "u2"], "item": ["i7", "i9"]}
    user = rk.Categorical("user", hash_buckets=9, side="user")
    features = rk.FeatureSet([user, rk.Categorical("item", hash_buckets=9)])
    model = rk.RankMixer(features, ["click"], token_dim=8, num_blocks=1)
    path = rk.export(model, "saved_models/ranker", warmup=rows, batch_sizes=(1,))
    assert str(path) == "saved_models/ranker/1"
    ```

    Raises:
        ExportError: the export failed a check; it names every problem, and nothing was published.
        FileExistsError: `version` is taken.
        ValueError: an argument is wrong; nothing was written.
    """
    if device not in ("cpu", "gpu"):
        raise ValueError(f"`device` must be 'cpu' or 'gpu'. Received: device={device!r}.")
    described = ExportDescription(
        model,
        path,
        version,
        warmup,
        signatures,
        user_columns,
        batch_sizes,
        batching,
        metrics,
        effective_rank,
        tolerance,
        pooled,
    )
    # Whatever the model was trained on.
    with made_for(device):
        endpoints = build_endpoints(described)
    with unpublished_directory(path) as place:
        with made_for(device):
            write_export(place, described, endpoints)
        checked = check_export(place, described)
        write_card(place, make_card(described, checked))
        return publish(place, version)
