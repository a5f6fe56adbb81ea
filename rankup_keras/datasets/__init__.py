"""Public data sets in their own formats."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

import keras  # noqa: E402, F401 (see `rankup_keras._registry`)
