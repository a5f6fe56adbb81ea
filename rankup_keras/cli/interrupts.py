"""A command that is interrupted, or whose reader has gone, ends or goes on without a traceback."""

import os
import signal
import sys
from typing import Any

INTERRUPTED = 130
_pressed = False
_stderr = 2


def install() -> None:
    """For the process of a command: Ctrl-C is remembered, and closed pipes are borne."""
    global _stderr
    # A copy: while TensorFlow is loaded, what it writes to stderr is held back.
    _stderr = os.dup(2)
    signal.signal(signal.SIGINT, _on_interrupt)
    sys.unraisablehook = _on_unraisable
    sys.stdout, sys.stderr = Enduring(sys.stdout), Enduring(sys.stderr)


def was_pressed() -> bool:
    """Whether Ctrl-C was pressed: libraries turn its exception into others."""
    return _pressed


def leave() -> None:
    """Ends the process at once: its threads would go on, or be told of in tracebacks."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(INTERRUPTED)


def _on_interrupt(number: int, frame: Any) -> None:
    global _pressed
    if _pressed:  # once more: what cleans up takes too long
        os._exit(INTERRUPTED)
    _pressed = True
    raise KeyboardInterrupt


def _on_unraisable(problem: Any) -> None:
    """What Python cannot raise, as in a destructor, would be printed and forgotten."""
    if _pressed:
        os.write(_stderr, b"Interrupted.\n")
        leave()
    sys.__unraisablehook__(problem)


class Enduring:
    """A text stream that goes on into nothing when its reader has gone, as after `| head -1`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
