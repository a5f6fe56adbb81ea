"""Which vocabularies weights belong to: a row of a table means what the vocabulary says."""

import hashlib
import json
import tempfile
import weakref
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from rankup_keras.features import FeatureSet, VocabularyLookup

KEY = "vocabularies"
# A lookup that has a vocabulary keeps it: a model froze its feature set.
_digests: weakref.WeakKeyDictionary[VocabularyLookup, str] = weakref.WeakKeyDictionary()
_living: weakref.WeakValueDictionary[str, VocabularyLookup] = weakref.WeakValueDictionary()


def digests(features: FeatureSet) -> dict[str, str]:
    """Feature → digest of its vocabulary in the order of ids, of those that have one."""
    found = {}
    for name, lookup in features.lookups.items():
        if lookup not in _digests and (values := lookup.vocabulary()):
            text = "\n".join([str(lookup.oov_buckets), *values])
            _digests[lookup] = hashlib.sha256(text.encode()).hexdigest()
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
        if source is not None and not lookup.vocabulary():
            with tempfile.TemporaryDirectory() as folder:
                source.save_assets(folder)
                lookup.load_assets(folder)


def check_same(own: Mapping[str, str], theirs: Mapping[str, str], of_theirs: str) -> None:
    """Refuses weights whose rows belong to other values.

    Raises:
        ValueError: it names the features whose vocabularies differ.
    """
    other = sorted(name for name in own if theirs.get(name, own[name]) != own[name])
    if other:
        raise ValueError(
            f"{of_theirs} belong to other vocabularies of the features {other}: their rows would "
            "stand for other values. Build the model on the FeatureSet that the weights were "
            "trained with, which the model's `.keras` file holds."
        )


def write(features: FeatureSet, store: Any) -> None:
    """Stores the digests beside a model's own variables."""
    found = digests(features)
    if found:  # a store that nothing is written to stays out of the file
        store[KEY] = np.frombuffer(json.dumps(found).encode(), np.uint8)


def read(store: Any) -> dict[str, str] | None:
    """The digests in a model's store; `None` in files of earlier versions."""
    if KEY not in list(store.keys()):
        return None
    return json.loads(np.asarray(store[KEY]).tobytes())


def variables_of(store: Any) -> dict[str, Any]:
    """What a model's store holds beside the digests."""
    return {key: store[key] for key in store.keys() if key != KEY}  # noqa: SIM118


def read_file(path: Any) -> dict[str, str] | None:
    """The digests in a file of weights, of any kind that Keras reads; `None` without any."""
    reader = _Reader()
    keras.saving.load_weights(reader, path, skip_mismatch=True)
    return reader.found


class _Reader(keras.layers.Layer):
    """Stands in the place of a model when Keras reads a file, and reads the digests alone."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] | None = None
        self.built = True

    def load_own_variables(self, store: Any) -> None:
        self.found = read(store)
