"""Statistics that another engine found, checked against the features that they are for."""

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

from rankup_keras.features.categorical import Categorical
from rankup_keras.features.feature import Feature
from rankup_keras.features.numeric import Numeric

Vocabulary = str | list[str] | list[int]


def checked_vocabularies(
    features: Iterable[Feature], given: Mapping[str, Any], dtypes: Mapping[str, str]
) -> list[tuple[Categorical, Vocabulary, str]]:
    """Features with the vocabulary and the type that each is given.

    Raises:
        ValueError: see `FeatureSet.set_statistics`.
    """
    learning = {f.name: f for f in features if isinstance(f, Categorical) and f.learns_vocabulary}
    _check_names("vocabularies", given, learning)
    _check_names("dtypes", dtypes, given)
    result = []
    for name, vocabulary in given.items():
        feature, found = learning[name], None
        if isinstance(vocabulary, os.PathLike):
            vocabulary = os.fspath(vocabulary)
        if not isinstance(vocabulary, str):
            # As a feature would take it, which refuses what cannot be one.
            declared = Categorical(name, vocabulary=vocabulary)
            vocabulary, found = declared.vocabulary, declared.dtype
        dtype = dtypes.get(name) or found or feature.dtype or "string"
        if dtype not in ("string", "int64") or found not in (None, dtype):
            raise ValueError(
                f"`dtypes` of feature {name!r} must be {found or 'string or int64'!r}, the type of "
                f"its vocabulary. Received: {dtype!r}."
            )
        if feature.dtype not in (None, dtype):
            raise ValueError(
                f"Feature {name!r} is declared with dtype {feature.dtype!r}. "
                f"Received a vocabulary of type {dtype!r}."
            )
        result.append((feature, vocabulary, dtype))
    return result


def checked_moments(
    features: Iterable[Feature], given: Mapping[str, Any]
) -> dict[str, tuple[float, float]]:
    """Means and standard deviations by feature.

    Raises:
        ValueError: see `FeatureSet.set_statistics`.
    """
    scaled = {f.name for f in features if isinstance(f, Numeric) and f.normalize is not None}
    _check_names("moments", given, scaled)
    for name, pair in given.items():
        try:
            mean, deviation = map(float, pair)
            good = math.isfinite(mean) and math.isfinite(deviation) and deviation > 0
        except (TypeError, ValueError):
            good = False
        if not good:
            raise ValueError(
                f"`moments` of feature {name!r} must be a mean and a standard deviation above 0. "
                f"Received: {pair!r}."
            )
    return {name: (float(mean), float(deviation)) for name, (mean, deviation) in given.items()}


def _check_names(argument: str, given: Iterable[str], names: Iterable[str]) -> None:
    wrong = sorted(set(given) - set(names))
    if wrong:
        raise ValueError(
            f"`{argument}` must name features that learn them: {sorted(names)}. Received: {wrong}."
        )
