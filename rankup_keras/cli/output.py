"""What a command says: text for people, JSON for programs, little when asked."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from rankup_keras.text_tables import aligned


class Output:
    """Progress goes to stderr unless `quiet`; results to stdout, as text or as one JSON object."""

    def __init__(self, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet or as_json
        self.as_json = as_json

    @property
    def verbose(self) -> int:
        """Keras's `verbose`: a bar in a terminal, a line per epoch elsewhere."""
        return 0 if self.quiet else 1 if sys.stdout.isatty() else 2

    def say(self, text: str) -> None:
        """One line of progress."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def result(
        self,
        content: Mapping[str, Any],
        text: str | None = None,
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """The result: all of it as JSON, or what people read of it, a table and text."""
        if self.as_json:
            print(json_text(content), flush=True)
            return
        if rows:
            print(table(rows), flush=True)
        if text:
            print(text, flush=True)


def json_text(content: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON that every parser reads: NaN and infinity are null."""
    return to_json(content, indent=indent, inf_nan_mode="null").decode()


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of rows, which all have the keys of the first."""
    return aligned([list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
