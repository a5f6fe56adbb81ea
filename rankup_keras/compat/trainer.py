"""What `fit` of Keras does with a model, where no public way leads there."""

from collections.abc import Mapping
from typing import Any


def evaluates_within_fit(kwargs: Mapping[str, Any]) -> bool:
    """Whether `evaluate` was called by `fit`, which then takes the data that it has made ready.

    Without it validation data would be encoded again after every epoch. `fit` says so
    by a keyword that begins with an underscore. Read in Keras 3.15.1. It can go once
    `fit` has a hook for validation.
    """
    return bool(kwargs.get("_use_cached_eval_dataset"))
