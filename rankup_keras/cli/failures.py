"""What can go wrong in a command: one message that can be acted on, and an exit code."""

import dataclasses
import difflib
import errno
import os
import re
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence

from rankup_keras import durable
from rankup_keras.cli import interrupts

OK, UNEXPECTED, CONFIG, DATA, RUN, REFUSED = 0, 1, 2, 3, 4, 5
INTERRUPTED = interrupts.INTERRUPTED
# Problems of a configuration that are told at once.
SHOWN = 50
_OUT_OF_MEMORY = (
    "Out of memory. Use a smaller `training.batch_size`, smaller tables (`min_count`, "
    "`max_tokens`, `hash_buckets`) or a smaller `data.shuffle_rows`."
)


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a configuration, and what would work."""

    place: str  # file, line and key, or the `--set` that brought it in
    message: str
    line: int = 0


class ConfigError(Exception):
    """Everything that is wrong with a configuration."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        found = sorted(dict.fromkeys(problems), key=lambda problem: problem.line)
        count = f"{len(found)} problem{'s' if len(found) > 1 else ''} in the configuration."
        lines = [f"{p.place}: {p.message}" for p in found[:SHOWN]]
        if len(found) > SHOWN:
            count = f"The first {SHOWN} of {count}"
        super().__init__("\n".join([*lines, count]))


class RunError(Exception):
    """A command that cannot do what is asked, for a reason that the user can change."""


def nearest(name: object, names: Iterable[str]) -> str:
    """A sentence with the nearest valid name, or with all of them if none is near."""
    valid = sorted(set(names))
    if close := difflib.get_close_matches(str(name), valid, n=1, cutoff=0.6):
        return f"The nearest valid name is {close[0]!r}."
    return f"Valid names: {', '.join(valid[:20])}{', …' if len(valid) > 20 else ''}."


def guarded(action: Callable[[], int | None], debug: bool = False) -> int:
    """Runs a command, and turns what it raises into a message on stderr and an exit code."""
    try:
        code = action() or OK
        if code != INTERRUPTED:  # which typer makes of an interruption
            return code
        message = "Interrupted."
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) or interrupts.was_pressed():
            # Libraries make exceptions of their own of it.
            message, code = "Interrupted.", INTERRUPTED
        elif not isinstance(error, Exception):
            raise
        elif isinstance(error, BrokenPipeError):
            return OK  # The reader of our output has gone; nobody is left to tell.
        elif hasattr(error, "show") and hasattr(error, "exit_code"):  # wrong usage, told by typer
            error.show()
            return int(error.exit_code)
        elif debug:
            raise
        else:
            message, code = _told(error)
    print(message, file=sys.stderr, flush=True)
    return code


def _full(error: Exception) -> str:
    """What to do about a full disk: which one, and how much is free there."""
    found = re.search(r"(/[^\s;:'\"]+)", str(error))
    path = getattr(error, "filename", None) or (found[1] if found else None)
    place = os.path.abspath(path or tempfile.gettempdir())
    while not os.path.exists(place):
        place = os.path.dirname(place)
    usage = shutil.disk_usage(place)
    return (
        f"{path or 'A file'}: No space left: {usage.free:,} of {usage.total:,} bytes are free at "
        f"{place}. Nothing half-written counts as written. Free some space and run the command "
        "again; `train` goes on with --resume."
    )


def _instead(error: OSError) -> str:
    denied = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
    return " Nothing can be written there: name another place." if denied else ""


def _told(error: Exception) -> tuple[str, int]:
    """The message and the exit code of an error."""
    if isinstance(error, ConfigError):
        return str(error), CONFIG
    if isinstance(error, RunError):
        return str(error), RUN
    # Not before: what is wrong with a configuration is told without TensorFlow.
    import tensorflow as tf

    from rankup_keras.data.data_error import DataError
    from rankup_keras.training.folder_lock import FolderInUseError

    if durable.is_full(error):
        return _full(error), RUN
    if isinstance(error, DataError):
        return f"Data: {error}", DATA
    if isinstance(error, tf.errors.OpError | ValueError):
        # What a `tf.data` pipeline makes of a `DataError`.
        for line in str(error).splitlines():
            if "DataError: " in line:
                return f"Data: {line.split('DataError: ', 1)[1].strip()}", DATA
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}.{_instead(error)}", RUN
    if isinstance(error, FolderInUseError | OSError | ImportError):
        return str(error), RUN
    if isinstance(error, tf.errors.ResourceExhaustedError | MemoryError):
        return _OUT_OF_MEMORY, RUN
    if isinstance(error, ValueError) or _raised_here(error):
        lines = [line for line in str(error).splitlines() if line.strip()]
        if len(lines) <= 12:
            return " ".join(lines), RUN
    return _unexpected(error), UNEXPECTED


def _raised_here(error: Exception) -> bool:
    """Whether a check of this package raised it, so that its message tells what to do."""
    frames = traceback.extract_tb(error.__traceback__)
    package = os.path.dirname(os.path.dirname(__file__)) + os.sep
    return bool(frames) and (
        frames[-1].filename.startswith(package) and (frames[-1].line or "").startswith("raise")
    )


def _unexpected(error: Exception) -> str:
    try:
        handle, name = tempfile.mkstemp(prefix="rankup_keras_error_", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
        details = f"the details in {name}"
    except OSError:
        details = "what it prints with --debug"
    first = (str(error).splitlines() or [""])[0]
    return (
        f"Unexpected: {type(error).__name__}: {first[:300]}\n"
        f"This is a bug in rankup-keras. Please report it, with {details}."
    )
