"""What a command says: text for people, JSON for programs, little when asked."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


class Output:
    """Progress goes to stderr, results to stdout.

    Args:
        quiet: no progress.
        as_json: the result as one JSON object on stdout, and no progress.
    """

    def __init__(self, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet or as_json
        self.as_json = as_json
        self.console = Console(highlight=False, soft_wrap=True)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def verbose(self) -> int:
        """Keras's `verbose`: a bar in a terminal, a line an epoch elsewhere."""
        if self.quiet:
            return 0
        return 1 if sys.stdout.isatty() else 2

    def say(self, text: str) -> None:
        """One line of progress."""
        if not self.quiet:
            self.errors.print(text, markup=False)

    def result(self, content: Mapping[str, Any], text: str | None = None) -> None:
        """The result, as JSON or as text."""
        if self.as_json:
            print(json.dumps(_finite(content), ensure_ascii=False), flush=True)
        elif text is not None and not self.quiet:
            self.console.print(text, markup=False)

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of a table, unless JSON is asked for."""
        if self.quiet or not rows:
            return
        table = Table(box=None, pad_edge=False)
        for number, name in enumerate(rows[0]):
            table.add_column(str(name), justify="left" if number == 0 else "right")
        for row in rows:
            table.add_row(*(_cell(value) for value in row.values()))
        self.console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _finite(content: Any) -> Any:
    """NaN and infinity as null, which JSON has no other word for."""
    if isinstance(content, Mapping):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(item) for item in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
