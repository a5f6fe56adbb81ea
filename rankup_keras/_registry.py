"""Registration of public classes, so that saved models reload with no `custom_objects`.

Keras finds a class only if its module has been imported, and importing `rankup_keras` imports
nothing. So a hook imports every room that holds registered classes, right after Keras itself. Each
package below therefore imports Keras as it starts: the hook then runs before any module of ours is
halfway through, and finds the names that it needs in packages that load on demand.
"""

import importlib
import pkgutil
import sys
from types import ModuleType
from typing import Any, TypeVar

import lazy_loader

PACKAGE = "rankup_keras"
ROOMS = ("features", "layers", "optimizers", "metrics", "losses", "models", "distribution")
_Class = TypeVar("_Class", bound=type)


def serializable(cls: _Class) -> _Class:
    """Registers a class with Keras under the package's name."""
    import keras

    return keras.saving.register_keras_serializable(package=PACKAGE)(cls)


def load_on_demand(package: str, file: str) -> None:
    """Lets a package import the names in its `__init__.pyi` as they are used; imports Keras."""
    module: Any = sys.modules[package]
    attached = lazy_loader.attach_stub(package, file)
    module.__getattr__, module.__dir__, module.__all__ = attached
    importlib.import_module("keras")


def register_all(keras: ModuleType) -> None:
    """Imports every module that may hold registered classes; `keras` is the hook's argument."""
    for room in ROOMS:
        package = importlib.import_module(f"{PACKAGE}.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
