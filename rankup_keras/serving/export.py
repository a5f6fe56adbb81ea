"""From a trained model to a version directory that a `tensorflow_model_server` serves."""

import os
from pathlib import Path
from typing import Any

import keras

from rankup_keras.serving import signatures as signatures_lib
from rankup_keras.serving import version_directory


def export(
    model: keras.Model,
    path: str | os.PathLike,
    version: int | None = None,
) -> Path:
    """Writes `<path>/<version>/`, complete or not at all.

    The preprocessing of `model.features` is baked into the graph, so a request
    carries raw columns and gets named probabilities. The directory is written
    under a name that servers ignore and renamed into place in one step.

    Args:
        model: a model of this package, or any `keras.Model` over encoded
            columns with an attribute `features` (a `FeatureSet`).
        path: the model's base path, e.g. `"saved_models/ranker"`: local, since
            a rename is what makes the swap atomic.
        version: the version's number. Defaults to one above the highest there.

    Returns:
        The version directory.

    Example:

    ```python
    rankup_keras.export(model, "saved_models/ranker")  # saved_models/ranker/1
    ```
    """
    check_model(model)
    version_directory.check_version(path, version)
    with version_directory.writing(path) as place:
        write_saved_model(model, place)
        return version_directory.publish(place, version)


def check_model(model: Any) -> None:
    """Refuses what has no columns to be served by."""
    if not isinstance(model, keras.Model) or not hasattr(model, "features"):
        raise ValueError(
            "`model` must be a keras.Model with an attribute `features` that encodes raw columns, "
            f"such as rankup_keras.RankUp. Received: {type(model).__name__}"
        )


def write_saved_model(model: keras.Model, place: Path) -> None:
    """Traces the signatures and writes the SavedModel into `place`."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(model.features)
    for name, (fn, spec) in signatures_lib.endpoints(model, ["serving_default"]).items():
        archive.add_endpoint(name, fn, spec)
    archive.write_out(str(place), verbose=False)
