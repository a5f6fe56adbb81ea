"""Which features and vocabularies weights belong to: they say what a row of a table means."""

import hashlib
import json
import os
import tempfile
import warnings
import weakref
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from rankup_keras.compat.legacy_hdf5 import writes_hdf5
from rankup_keras.compat.mixed_in import MixedIn
from rankup_keras.features import FeatureSet, VocabularyLookup
from rankup_keras.models.large_files import large_local_file, save_through_disk

KEY = "feature_set"
# Settings of a feature that decide what its ids and numbers mean.
_MEANING = (
    "hash_buckets", "num_hashes", "num_ids", "oov_buckets", "of", "normalize", "clip", "indicator",
    "dim", "ids", "actions", "numbers", "time_features", "time_buckets", "unit", "cycles",
)  # fmt: skip
# A lookup that has a vocabulary keeps it: a model froze its feature set.
_digests: weakref.WeakKeyDictionary[VocabularyLookup, str] = weakref.WeakKeyDictionary()
_living: weakref.WeakValueDictionary[str, VocabularyLookup] = weakref.WeakValueDictionary()


def digests(features: FeatureSet) -> dict[str, str]:
    """Feature → digest of its vocabulary in the order of ids, of those that have one."""
    found = {}
    for name, lookup in features.lookups.items():
        if lookup not in _digests and not lookup.is_empty:
            digest = hashlib.sha256(str(lookup.oov_buckets).encode())
            for text in lookup.texts():
                digest.update(b"\n" + text)
            _digests[lookup] = digest.hexdigest()
        if lookup in _digests:
            found[name] = _digests[lookup]
            _living[_digests[lookup]] = lookup
    return found


def adopt(features: FeatureSet, wanted: Mapping[str, str]) -> None:
    """Gives a feature set made from a config the vocabularies that live in this process.

    A config is JSON and leaves them out. One made in another process gets none
    here: a `.keras` file brings them.

    Args:
        features: the feature set, without vocabularies.
        wanted: what `digests` gave for the feature set that the config is of.
    """
    for name, lookup in features.lookups.items():
        source = _living.get(wanted.get(name, ""))
        if source is not None and lookup.is_empty:
            with tempfile.TemporaryDirectory() as folder:
                source.save_assets(folder)
                lookup.load_assets(folder)


def description(features: FeatureSet) -> dict[str, Any]:
    """What weights rely on of a feature set, as JSON: its features in order, and what they mean."""
    encodings = []
    for feature in features.features:
        config = feature.get_config()
        told = {name: config[name] for name in _MEANING if config.get(name) is not None}
        encodings.append([feature.name, f"{type(feature).__name__}({told})"])
    moments = features.get_config()["learned"]["moments"]
    return {"vocabularies": digests(features), "features": encodings, "moments": moments}


def check_same(own: Mapping[str, Any], theirs: Mapping[str, Any], of_theirs: str) -> None:
    """Refuses weights whose rows and columns belong to other values; see `description`.

    Other means and standard deviations are warned of: values are scaled by the
    model's own.

    Raises:
        ValueError: it names the features that differ.
    """
    ours, others = dict(own["features"]), dict(theirs["features"])
    if list(ours) != list(others):
        raise ValueError(
            f"{of_theirs} belong to other features, or to these in another order: {list(others)}. "
            f"The model has {list(ours)}. Build it on the FeatureSet that the weights were trained "
            "with, which the model's `.keras` file holds."
        )
    differ = [name for name in ours if ours[name] != others[name]]
    encoded = [f"{name!r} by {others[name]}, here by {ours[name]}" for name in differ]
    if encoded:
        raise ValueError(
            f"{of_theirs} belong to features that were encoded in another way: "
            f"{'; '.join(encoded)}. Describe the features as they were."
        )
    vocabularies = (own["vocabularies"], theirs["vocabularies"])
    differ = sorted(n for n in vocabularies[0] if vocabularies[0][n] != vocabularies[1].get(n))
    if differ:
        raise ValueError(
            f"{of_theirs} belong to other vocabularies of the features {differ}: their rows would "
            "stand for other values. Build the model on the FeatureSet that the weights were "
            "trained with, which the model's `.keras` file holds."
        )
    scaled = [n for n, pair in own["moments"].items() if pair != theirs["moments"].get(n)]
    if scaled:
        warnings.warn(
            f"{of_theirs} were trained with another mean and standard deviation of the features "
            f"{scaled}; the model scales by its own, {own['moments'][scaled[0]]} for the first. "
            "`FeatureSet.set_statistics` takes the former ones.",
            stacklevel=4,
        )


def write(features: FeatureSet, store: Any) -> None:
    """Stores the description beside a model's own variables."""
    store[KEY] = np.frombuffer(json.dumps(description(features)).encode(), np.uint8)


def read(store: Any) -> dict[str, Any] | None:
    """The description in a model's store; `None` in files of earlier versions."""
    if KEY not in list(store.keys()):
        return None
    return json.loads(np.asarray(store[KEY]).tobytes())


def variables_of(store: Any) -> dict[str, Any]:
    """What a model's store holds beside the description."""
    return {key: store[key] for key in store.keys() if key != KEY}  # noqa: SIM118


def read_file(path: Any) -> dict[str, Any] | None:
    """The description in a file of weights, of any kind that Keras reads; `None` without any."""
    reader = _Reader()
    keras.saving.load_weights(reader, path, skip_mismatch=True)
    return reader.found


class _Reader(keras.layers.Layer):
    """Stands in the place of a model when Keras reads a file, and reads the description alone."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Any] | None = None
        self.built = True

    def load_own_variables(self, store: Any) -> None:
        self.found = read(store)


def refuse_hdf5(filepath: str = "") -> None:
    """Refuses to save to an HDF5 file, by its name or while Keras writes one.

    Raises:
        ValueError: such a file has no place for vocabularies.
    """
    if filepath.endswith((".h5", ".hdf5")) or writes_hdf5():
        raise ValueError(
            "An HDF5 file has no place for the vocabularies of features: save to a file whose name "
            f"ends in `.keras`.{f' Received: {filepath!r}.' if filepath else ''}"
        )


class KnowsVocabularies(MixedIn):
    """Mixed into a model with a `FeatureSet`: its files know their vocabularies."""

    def save(self: Any, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Saves to a `.keras` file, vocabularies included; see `keras.Model.save`.

        Raises:
            ValueError: an HDF5 file, which has no place for vocabularies.
        """
        refuse_hdf5(str(filepath))
        if not (args or kwargs) and large_local_file(self, filepath):
            save_through_disk(self, filepath)
        else:
            super().save(filepath, *args, **kwargs)

    def load_weights(self: Any, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Loads weights of the same features and vocabularies; see `keras.Model.load_weights`.

        Raises:
            ValueError: they belong to other ones; nothing is loaded.
        """
        theirs = read_file(filepath)
        if theirs is None:
            warnings.warn(
                f"'{filepath}' does not say which vocabularies its weights belong to, as "
                "files of earlier versions: make sure that they are this model's.",
                stacklevel=2,
            )
        else:
            own = description(self.features)
            check_same(own, theirs, f"The weights in '{filepath}'")
        super().load_weights(filepath, *args, **kwargs)

    def save_own_variables(self: Any, store: Any) -> None:
        super().save_own_variables(store)
        write(self.features, store)

    def load_own_variables(self: Any, store: Any) -> None:
        theirs = read(store)
        if theirs is not None:
            own = description(self.features)
            check_same(own, theirs, "The weights")
        super().load_own_variables(variables_of(store))
