"""Saving models with large tables without a second copy of them in memory."""

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

LARGE = 1 << 26  # bytes


def large_local_file(model: Any, path: str | os.PathLike) -> bool:
    """Whether a model is large enough, and its file local, for `save_through_disk`."""
    if not str(path).endswith(".keras") or not Path(path).parent.is_dir():
        return False
    variables = [*model.variables, *getattr(getattr(model, "optimizer", None), "variables", [])]
    return sum(4 * int(np.prod(v.shape)) for v in variables) >= LARGE


def save_through_disk(model: Any, path: str | os.PathLike) -> None:
    """Saves a model as Keras does, but through a folder beside the file.

    Keras builds the archive in memory if enough is free, which takes twice the model's size.
    """
    beside = Path(path).resolve().parent
    with tempfile.TemporaryDirectory(prefix=".rankup_keras_", dir=beside) as folder:
        keras.saving.save_model(model, folder, zipped=False)
        with zipfile.ZipFile(path, "w") as file:
            for item in sorted(Path(folder).rglob("*")):
                if item.is_file():
                    file.write(item, item.relative_to(folder))
