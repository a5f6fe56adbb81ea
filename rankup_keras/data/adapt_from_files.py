"""Features adapt to files, and what they learned is cached for the next run."""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras

from rankup_keras import durable
from rankup_keras.data.data_error import DataError
from rankup_keras.data.files import Files
from rankup_keras.data.statistics import Statistics, scan
from rankup_keras.features import Categorical, FeatureSet, Numeric

# Raised when what is learned, or how it is kept, changes.
FORM = 2


def adapt(
    features: FeatureSet,
    files: Files,
    cache: str | os.PathLike[str] | None = None,
    memory: int = 1 << 29,
    keep: str | os.PathLike[str] | None = None,
) -> Statistics:
    """Learns vocabularies, means and standard deviations from files, in one pass.

    The result is that of `FeatureSet.adapt` on the same rows, in bounded memory:
    counts that outgrow `memory` go to disk. Every row is checked on the way,
    labels too, so that malformed rows are found before training.

    Args:
        features: the feature set, which no model was built on yet.
        files: the training rows, made with this feature set.
        cache: folder that keeps what was learned, under a fingerprint of the
            files (path, size, time of change, both ends), the features and the
            row filters; with the same fingerprint nothing is read again. What is
            damaged is learned anew, with a warning. `None` (default) keeps nothing.
        memory: bytes for the counts of all columns. Defaults to 512 MiB.
        keep: folder of a run that gets a copy of what was learned, for `recall`. Defaults
            to none.

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
            _use(features, found, keep)
            found.folder = None
            return found
    kept = Path(cache) / fingerprint(files)
    damage = durable.find_damage(kept) if kept.exists() else "it is not there"
    if damage is None:
        found = Statistics.read(kept)
        files.rows = found.rows
        _use(features, found, keep)
        return found
    if kept.exists():
        warnings.warn(f"'{kept}' is damaged ({damage}): its rows are read again.", stacklevel=2)
    with durable.blamed(kept):
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial_", dir=kept.parent))
        try:
            found = scan(files, partial, memory)
            found.write(partial)
            durable.seal(partial)
            if files.bad_rows.count == 0:
                # Where rows were bad the next run is to find and count them again.
                found.folder = _put(partial, kept)
            _use(features, found, keep)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return found


def recall(features: FeatureSet, folder: str | os.PathLike[str]) -> Statistics:
    """Gives features what `adapt(..., keep=folder)` has learned, on whatever data.

    Args:
        features: the feature set, which no model was built on yet.
        folder: what `adapt` was given as `keep`.

    Returns:
        `Statistics` of the rows that were learned from.

    Raises:
        DataError: the folder is damaged or not there.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item"), rk.Numeric("price")])
    train = rk.data.Files("logs/*.parquet", features, ["click"])
    rk.data.adapt(features, train, keep="runs/1/learned")

    again = rk.FeatureSet([rk.Categorical("item"), rk.Numeric("price")])
    rk.data.recall(again, "runs/1/learned")
    ```
    """
    features.check_not_frozen()
    folder = Path(folder)
    damage = durable.find_damage(folder)
    if damage is not None:
        raise DataError(
            f"What was learned is damaged: {damage}. Restore it from a backup, or start anew.",
            folder,
        )
    found = Statistics.read(folder)
    _use(features, found, None)
    return found


def _put(partial: Path, kept: Path) -> Path:
    """Renames what was learned into its place, which another process may have filled meanwhile."""
    if kept.exists():
        aside = partial.with_name(f"{partial.name}_damaged")
        kept.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    try:
        partial.rename(kept)
    except OSError:
        if durable.find_damage(kept) is not None:
            raise
    return kept


def _use(features: FeatureSet, found: Statistics, keep: str | os.PathLike[str] | None) -> None:
    _learn(features, found)
    if keep is not None and found.folder is not None:
        target = Path(keep)
        with durable.blamed(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".partial_", dir=target.parent) as partial:
                copy = shutil.copytree(found.folder, Path(partial) / "copy")
                found.write(copy)
                durable.seal(copy)
                shutil.rmtree(target, ignore_errors=True)
                copy.rename(target)


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
            (str(path.resolve()), *mark)
            for path, (_, *mark) in zip(files.paths, files.fingerprint, strict=True)
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
