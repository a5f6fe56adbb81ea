"""Starts `rankup-keras`, after settling what TensorFlow reads and says as it is imported."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


def main() -> int:
    """Runs the command. Returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("MPLBACKEND", "Agg")
    with _held_back():
        from rankup_keras.cli.main import main as run
    return run()


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Holds back what libraries write to stderr before they can be told to be quiet.

    It is shown after all if importing them fails.
    """
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(real, 2)
            kept.seek(0)
            sys.stderr.write(kept.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


if __name__ == "__main__":
    sys.exit(main())
