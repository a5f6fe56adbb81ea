"""The messages of TensorFlow Serving's API, imported only when something needs them."""

import importlib
from types import ModuleType


def serving_api(name: str) -> ModuleType:
    """A generated module of `tensorflow-serving-api`, such as `"apis.predict_pb2"`.

    Raises:
        ImportError: the package is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(f"tensorflow_serving.{name}")
    except ImportError as error:
        raise ImportError(
            "Server configuration, the client and the development server need "
            "tensorflow-serving-api: pip install 'rankup-keras[serving]'"
        ) from error
