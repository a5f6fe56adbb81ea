"""Token-mixing ranking models for Keras 3: RankMixer, RankUp and RankElastor."""

from typing import Any

import lazy_loader
import wrapt

from rankup_keras._registry import register_all

__version__ = "0.1.0"
# The names are in `__init__.pyi`, here and in every package below.
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    # What a history was called in 0.1, and in examples of that time.
    return _load("History" if name == "Sequence" else name)


wrapt.register_post_import_hook(register_all, "keras")
del register_all
