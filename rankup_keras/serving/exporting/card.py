"""The model's card: what is in a version directory, for people and for programs."""

import datetime as dt
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from rankup_keras.diagnostics import rank_profile
from rankup_keras.features import Categorical
from rankup_keras.serving.exporting.session import Signature
from rankup_keras.serving.exporting.sides import Sides

FILE = "model.json"


def make_card(
    model: keras.Model,
    name: str,
    signatures: Mapping[str, Signature],
    sides: Sides,
    **facts: Any,
) -> dict[str, Any]:
    """What a reader of the version directory wants to know, as plain JSON.

    Args:
        model: the exported model.
        name: the name it is served under.
        signatures: as the exported graph has them.
        sides: which columns are the user's.
        facts: further entries: tasks, metrics, effective rank, batch sizes and so on.
    """
    columns = {}
    for feature in model.features.features:
        spec = sides.spec[feature.name]
        columns[feature.name] = {
            "dtype": spec.dtype.name,
            "shape": list(spec.shape),
            "side": "user" if feature.name in sides.user else "candidate",
            "max_length": getattr(feature, "max_length", None),
        }
    return {
        "name": name,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "versions": {
            package: importlib.metadata.version(package)
            for package in ("tensorflow", "keras", "keras-rs", "numpy")
        }
        | {"rankup-keras": _own_version()},
        "model": type(model).__name__,
        "parameters": int(model.count_params()),
        "features": [_describe(feature) for feature in model.features.features],
        "columns": columns,
        "signatures": {
            key: {
                "method": signature.method,
                "inputs": {k: str(v) for k, v in signature.inputs.items()},
                "outputs": {k: str(v) for k, v in signature.outputs.items()},
            }
            for key, signature in signatures.items()
        },
        **facts,
    }


def write_card(place: Path, card: Mapping[str, Any]) -> None:
    """Writes the card into a directory that is being prepared."""
    text = json.dumps(card, indent=2, ensure_ascii=False, default=_plain)
    (place / FILE).write_text(text + "\n", encoding="utf-8")


def read_card(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the card of a version directory."""
    file = Path(path) / FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"`path` must be a version directory written by rankup_keras.export, with {FILE}. "
            f"Received: path={os.fspath(path)!r}"
        )
    return json.loads(file.read_text(encoding="utf-8"))


def last_metrics(model: keras.Model) -> dict[str, float]:
    """The last epoch's metrics of a model that was trained in this process, else nothing."""
    history = getattr(getattr(model, "history", None), "history", None) or {}
    return {name: float(values[-1]) for name, values in history.items() if values}


def effective_ranks(
    model: keras.Model, rows: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Effective rank by layer on some rows; empty for a model without token matrices."""
    encoded = model.features.encode(dict(rows))
    if not any(_is_token_matrix(layer) for layer in model.layers):
        return {}
    profile = rank_profile(model, encoded, samples=len(next(iter(encoded.values()))), table_rows=0)
    return {
        name: {"mean": ranks.mean, "normalized": ranks.normalized, "ceiling": ranks.ceiling}
        for name, ranks in profile.layers.items()
    }


def _is_token_matrix(layer: keras.layers.Layer) -> bool:
    shape = getattr(layer.output, "shape", ())
    return len(shape) == 3 and "float" in str(layer.output.dtype)


def _describe(feature: Any) -> dict[str, Any]:
    config = feature.get_config()
    if isinstance(feature, Categorical) and config.get("vocabulary") is not None:
        # The words themselves lie in the export's assets.
        config["vocabulary"] = "in assets"
    return {"type": type(feature).__name__, **config}


def _own_version() -> str:
    from rankup_keras import __version__

    return __version__


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)
