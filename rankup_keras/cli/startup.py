"""Loads TensorFlow for a command, without what it writes to stderr as it is imported."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from rankup_keras.cli import interrupts

# What Keras imports wherever it is installed, for wrappers of scikit-learn and galleries of images:
# a quarter of the seconds that `import keras` takes, and of no use to the command.
_OPTIONAL = ("sklearn", "matplotlib")


def load_tensorflow() -> None:
    """Imports Keras on TensorFlow, and with it whatever of `rankup_keras` is registered there."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("MPLBACKEND", "Agg")
    if "keras" not in sys.modules:
        with _stderr_held_back(), _none_of(_OPTIONAL):
            import keras  # noqa: F401


@contextlib.contextmanager
def _none_of(packages: Sequence[str]) -> Iterator[None]:
    """Lets an import find none of the packages; afterwards they can be imported as ever."""
    hidden: dict[str, Any] = {name: None for name in packages if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Keeps stderr to itself, and shows it only after an error.

    TensorFlow's libraries write to the file descriptor while they are loaded, before the log level
    that the environment asks for takes effect.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            if not interrupts.was_pressed():
                kept.seek(0)
                os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
