"""What a command says: text for people, JSON for programs, little when asked."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from rich.console import Console
from rich.table import Table


class Output:
    """Progress goes to stderr unless `quiet`; results to stdout, as text or as one JSON object."""

    def __init__(self, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet or as_json
        self.as_json = as_json
        self._results = results_console()
        self._progress = Console(highlight=False, soft_wrap=True, markup=False, stderr=True)

    @property
    def verbose(self) -> int:
        """Keras's `verbose`: a bar in a terminal, a line per epoch elsewhere."""
        return 0 if self.quiet else 1 if sys.stdout.isatty() else 2

    def say(self, text: str) -> None:
        """One line of progress."""
        if not self.quiet:
            self._progress.print(text)

    def result(
        self,
        content: Mapping[str, Any],
        text: str | None = None,
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """The result: all of it as JSON, or what people read of it, a table and text."""
        if self.as_json:
            print(json_text(content), flush=True)
        if not self.quiet and rows:
            self._results.print(table(rows))
        if not self.quiet and text:
            self._results.print(text)


def results_console() -> Console:
    """Prints to stdout, with no line cut or wrapped outside of a terminal."""
    width = None if sys.stdout.isatty() else 10_000
    return Console(highlight=False, soft_wrap=True, markup=False, width=width)


def json_text(content: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON that every parser reads: NaN and infinity are null."""
    return to_json(content, indent=indent, inf_nan_mode="null").decode()


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A table of rows, which all have the keys of the first."""
    made = Table(box=None, pad_edge=False)
    for number, name in enumerate(rows[0]):
        made.add_column(str(name), justify="right" if number else "left", no_wrap=True)
    for row in rows:
        made.add_row(*map(_cell, row.values()))
    return made


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
