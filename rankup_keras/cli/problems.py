"""What is wrong with a configuration, all of it at once."""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what, on which line, at which key."""

    message: str
    line: int | None = None
    where: str = ""


class ConfigError(Exception):
    """Everything that is wrong with a configuration."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """One line a problem: file, line, key, what is wrong."""
        lines = []
        for problem in self.problems:
            place = str(self.path) if problem.line is None else f"{self.path}:{problem.line}"
            if problem.where.startswith("--set"):
                place = problem.where
                lines.append(f"{place}: {problem.message}")
            else:
                where = f"{problem.where}: " if problem.where else ""
                lines.append(f"{place}: {where}{problem.message}")
        return lines


class RunError(Exception):
    """A command that cannot do what is asked, for a reason that the user can change."""


def nearest(name: object, names: Iterable[str]) -> str:
    """A sentence that names the nearest valid name, or all if none is near."""
    valid = sorted(set(names))
    close = difflib.get_close_matches(str(name), valid, n=1, cutoff=0.6)
    if close:
        return f"The nearest valid name is {close[0]!r}."
    shown = ", ".join(valid[:20]) + (", …" if len(valid) > 20 else "")
    return f"Valid names: {shown}."
