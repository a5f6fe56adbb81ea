"""The model card: what is in a version directory, for people and for programs."""

import datetime as dt
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import rankup_keras
from rankup_keras.features import Categorical
from rankup_keras.serving.exporting.description import ExportDescription
from rankup_keras.serving.exporting.export_check import CheckedExport
from rankup_keras.serving.exporting.session import describe_tensor
from rankup_keras.strict_json import strict_json

FILE = "model.json"
_PACKAGES = ("tensorflow", "keras", "keras-rs", "numpy")


def make_card(described: ExportDescription, checked: CheckedExport) -> dict[str, Any]:
    """What a reader of the version directory wants to know, as plain JSON."""
    model, columns = described.model, described.inputs
    features = model.features.features
    versions = {package: importlib.metadata.version(package) for package in _PACKAGES}
    return {
        "name": described.name,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "versions": {**versions, "rankup-keras": rankup_keras.__version__},
        "model": type(model).__name__,
        "parameters": int(model.count_params()),
        "features": [_describe_feature(feature) for feature in features],
        "columns": {
            column: {
                "dtype": columns.spec[column].dtype.name,
                "shape": columns.spec[column].shape.as_list(),
                "side": "user" if column in columns.user else "candidate",
                "max_length": getattr(feature, "max_length", None),
            }
            for feature in features
            for column in model.features.columns_of(feature)
        },
        "signatures": {
            name: {
                "method": signature.method,
                "inputs": {k: describe_tensor(v) for k, v in signature.inputs.items()},
                "outputs": {k: describe_tensor(v) for k, v in signature.outputs.items()},
            }
            for name, signature in checked.signatures.items()
        },
        "tasks": described.tasks,
        "metrics": described.metrics,
        "effective_rank": described.effective_rank,
        "batch_sizes": described.batch_sizes,
        "batching": described.batching,
        "warmup_records": checked.warmup_records,
    }


def write_card(place: Path, card: Mapping[str, Any]) -> None:
    """Writes the card into a directory that is being prepared."""
    text = strict_json(card, indent=2, default=_plain)
    (place / FILE).write_text(text + "\n", encoding="utf-8")


def read_card(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the model card of a version directory.

    It lists what the directory was made from and for: library versions, features and columns,
    signatures, metrics, effective rank, batch sizes.

    Args:
        path: the version directory.

    Returns:
        The card, as JSON's dicts, lists and values.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=9)])
    model = rk.RankMixer(features, ["click"], token_dim=8)
    path = rk.export(model, "saved_models/ranker", metrics={"val_click_auc": 0.8})
    card = rk.serving.read_card(path)
    assert card["tasks"] == ["click"]
    assert card["metrics"] == {"val_click_auc": 0.8}
    ```

    Raises:
        FileNotFoundError: `path` is not a version directory that `rankup_keras.export` wrote.
    """
    file = Path(path) / FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"`path` must be a version directory written by rankup_keras.export, with {FILE}. "
            f"Received: path={os.fspath(path)!r}"
        )
    return json.loads(file.read_text(encoding="utf-8"))


def _describe_feature(feature: Any) -> dict[str, Any]:
    config = feature.get_config()
    if isinstance(feature, Categorical) and config.get("vocabulary") is not None:
        # The words themselves are in the export's assets.
        config["vocabulary"] = "in assets"
    return {"type": type(feature).__name__, **config}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)
