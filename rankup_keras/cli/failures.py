"""Errors → one message that can be acted on, and an exit code."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from rankup_keras.cli.problems import ConfigError, RunError

OK, UNEXPECTED, CONFIG, DATA, RUN, INTERRUPTED = 0, 1, 2, 3, 4, 130


def guarded(action: Callable[[], int | None], debug: bool = False) -> int:
    """Runs a command, and turns what it raises into a message on stderr and an exit code."""
    try:
        return action() or OK
    except KeyboardInterrupt:
        return _fail("Interrupted.", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if debug:
            raise
        return report(error)


def report(error: Exception) -> int:
    """The message and the exit code of an error."""
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # typer's own
        if hasattr(error, "show"):
            error.show()
        return int(error.exit_code)
    import tensorflow as tf

    from rankup_keras.data.data_error import DataError

    if isinstance(error, ConfigError):
        count = len(error.problems)
        _fail("\n".join(error.lines()), CONFIG)
        return _fail(f"{count} problem{'s' if count > 1 else ''} in the configuration.", CONFIG)
    if isinstance(error, DataError):
        return _fail(f"Data: {error}", DATA)
    if isinstance(error, tf.errors.OpError):
        told = _data_error(error)
        if told:
            return _fail(f"Data: {told}", DATA)
    if isinstance(error, RunError | FileExistsError | FileNotFoundError | PermissionError):
        return _fail(str(error), RUN)
    if isinstance(error, tf.errors.ResourceExhaustedError | MemoryError):
        return _fail(
            "Memory does not suffice. Take a smaller `training.batch_size`, smaller tables "
            "(`min_count`, `max_tokens`, `hash_buckets`) or `data.shuffle_rows`.",
            RUN,
        )
    package = ("rankup_keras.serving", "rankup_keras.diagnostics", "rankup_keras.models")
    if isinstance(error, ValueError) or type(error).__module__.startswith(package):
        lines = [line for line in str(error).splitlines() if line.strip()]
        if len(lines) <= 12:
            return _fail(" ".join(lines), RUN)
    return _unexpected(error)


def _data_error(error: Exception) -> str | None:
    """The message of a `DataError` that went through a `tf.data` pipeline."""
    for line in str(error).splitlines():
        mark = "DataError: "
        if mark in line:
            return line.split(mark, 1)[1].strip()
    return None


def _unexpected(error: Exception) -> int:
    handle, name = tempfile.mkstemp(prefix="rankup_keras_error_", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))
    first = (str(error).splitlines() or [""])[0]
    return _fail(
        f"Unexpected: {type(error).__name__}: {first[:300]}\nThe details are in {Path(name)}; "
        "this is a fault of rankup-keras, please report it with them.",
        UNEXPECTED,
    )


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr, flush=True)
    return code
