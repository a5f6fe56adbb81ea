"""Features adapt to files, and what they learned is cached for the next run."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

from rankup_keras.data.files import Files
from rankup_keras.data.statistics import Statistics, scan
from rankup_keras.features import Categorical, FeatureSet, Numeric

# Raised when what is learned, or how it is kept, changes.
FORM = 1


def adapt(
    features: FeatureSet,
    files: Files,
    cache: str | os.PathLike[str] | None = None,
    memory: int = 1 << 29,
) -> Statistics:
    """Learns vocabularies, means and standard deviations from files, in one pass.

    The result is that of `FeatureSet.adapt` on the same rows, in bounded memory:
    counts that outgrow `memory` go to disk. Every row is checked on the way,
    labels too, so that malformed rows are found before training.

    Args:
        features: the feature set, which no model was built on yet.
        files: the training rows, made with this feature set.
        cache: folder that keeps what was learned, under a fingerprint of the
            files (path, size, time of change), the features and the row
            filters; with the same fingerprint nothing is read again. `None`
            (default) keeps nothing.
        memory: bytes for the counts of all columns. Defaults to 512 MiB.

    Returns:
        `Statistics` of the rows.

    Raises:
        RuntimeError: a model was already built on this feature set.
        DataError: see `scan`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item"), rk.Numeric("price")])
    train = rk.data.Files("logs/*.parquet", features, ["click"])
    rk.data.adapt(features, train, cache="runs/cache")
    assert features.is_adapted
    ```
    """
    features.check_not_frozen()
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="rankup_keras_") as folder:
            found = scan(files, Path(folder), memory)
            _learn(features, found)
            found.folder = None
            return found
    kept = Path(cache) / fingerprint(files)
    if (kept / "statistics.json").is_file():
        found = Statistics.read(kept)
        files.rows = found.rows
    else:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial_", dir=kept.parent))
        try:
            found = scan(files, partial, memory)
            found.write(partial)
            if files.bad_rows.count == 0:
                # Where rows were bad the next run is to find and count them again.
                shutil.rmtree(kept, ignore_errors=True)
                partial.rename(kept)
                found.folder = kept
            _learn(features, found)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return found
    _learn(features, found)
    return found


def _learn(features: FeatureSet, found: Statistics) -> None:
    folder = found.folder or Path()
    learning = [f.name for f in features.of_type(Categorical) if f.learns_vocabulary]
    scaled = [f.name for f in features.leaves(Numeric) if f.normalize is not None]
    known = found.features
    features.set_statistics(
        vocabularies={name: folder / known[name]["file"] for name in learning},
        moments={name: (known[name]["mean"], known[name]["deviation"]) for name in scaled},
        dtypes={name: known[name]["dtype"] for name in learning},
    )


def fingerprint(files: Files) -> str:
    """A name for what would be learned: changed by other files, features or filters."""
    content: dict[str, Any] = {
        "form": FORM,
        "files": [
            (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns)
            for path in files.paths
        ],
        "format": files.format,
        "csv": repr(files.csv),
        "where": [repr(where) for where in files.where],
        "transform": repr(files.transform),
        "targets": [repr(target) for target in files.targets],
        "policy": files.bad_rows.policy,
        "features": [
            {**keras.saving.serialize_keras_object(f)["config"], "dtype": None}
            for f in files.features.features
        ],
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
