"""The days that a run was updated by, one line each."""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any

from rankup_keras import durable
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import json_text
from rankup_keras.cli.run_folder import RunFolder, damaged

# The ledger keeps days in 32 bits.
_DAYS = 2**31


class Series:
    """`days.jsonl` of a run: what each day found, in order, refused ones among them."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        text = run.days.read_text(encoding="utf-8") if run.days.is_file() else ""
        try:
            self.days: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
        except ValueError as error:
            raise damaged(run.days, error) from error

    def check_whole(self) -> None:
        """Refuses a run whose model knows more days than the series, or has lost their counts.

        Raises:
            RunError: it names the file.
        """
        run, last = self.run, self.run.read_summary().get("day")
        if last is None:
            return
        lost = None if run.ledger.is_file() else run.ledger
        if all(line["day"] != last or line["refused"] for line in self.days):
            lost = run.days
        if lost is not None:
            raise RunError(
                f"{lost} does not hold what {run.path} learned up to day {last}: days would be "
                "trained on twice, or values counted anew. Restore it from a backup, or train "
                "again with --overwrite."
            )

    def write(self, line: Mapping[str, Any]) -> None:
        """Adds a day, in place of one of the same number."""
        others = [other for other in self.days if other["day"] != line["day"]]
        self.days = sorted([*others, dict(line)], key=lambda other: other["day"])
        durable.write_text(self.run.days, "".join(json_text(day) + "\n" for day in self.days))

    def trained_on(
        self, data: list[Any], asked: str | None, has_rows: Callable[[str], bool]
    ) -> dict[str, Any] | None:
        """The day that was trained on these files, `None` where they are new.

        Args:
            data: `Files.fingerprint` of the files.
            asked: the day that was asked for.
            has_rows: function of a path. Files without rows may be alike.

        Raises:
            RunError: some of them are of another day or of `train`, or two have the same rows.
        """
        ours = _marks(data)
        for path, *mark in data:
            if ours[_mark(mark)] != path and has_rows(path):
                raise RunError(f"{path} has the same rows as {ours[_mark(mark)]}. Give them once.")
        for line in (line for line in self.days if not line["refused"]):
            theirs = _marks(line["data"])
            if theirs.keys() == ours.keys() and asked in (None, str(line["day"]), line.get("date")):
                return line
            known = [path for mark, path in ours.items() if mark in theirs and has_rows(path)]
            if known:
                raise RunError(
                    f"{known[0]} was trained on already, as a file of day {line['day']}. Give "
                    "the rows of a new day."
                )
        first = _marks(self.run.trained_files())
        known = [path for mark, path in ours.items() if mark in first and has_rows(path)]
        if known:
            raise RunError(
                f"{known[0]} was trained on already, by `rankup-keras train`. Give the rows of a "
                "new day."
            )
        return None

    def number(self, data: list[Any], asked: str | None) -> tuple[int, dict[str, str]]:
        """The number of a new day, and its date if it has one; dates count from 1970.

        Where none was asked for it is the one after the last, or that of the same files' refusal.
        """
        last = max((line["day"] for line in self.days if not line["refused"]), default=0)
        if asked is None:
            ours = _marks(data).keys()
            for line in self.days:
                if line["refused"] and _marks(line["data"]).keys() == ours:
                    return line["day"], {"date": line["date"]} if "date" in line else {}
            return 1 + max((line["day"] for line in self.days), default=0), {}
        number, date = _parsed(asked)
        if number <= last:
            raise RunError(
                f"Day {asked} is not after day {last}, the last one that {self.run.path} was "
                "trained on. Give a later one with --day."
            )
        return number, date


def _marks(files: list[list[Any]]) -> dict[tuple[Any, ...], str]:
    """Paths of files by what tells their content."""
    return {_mark(mark): path for path, *mark in reversed(files)}


def _mark(mark: list[Any]) -> tuple[Any, ...]:
    size, _, ends = mark  # the file may have moved, or be a copy with another time
    return size, ends


def _parsed(day: str) -> tuple[int, dict[str, str]]:
    if day.isdecimal():
        if int(day) >= _DAYS:
            raise RunError(f"`--day` must be below {_DAYS:,}. Received: {day}")
        return int(day), {}
    try:
        date = dt.date.fromisoformat(day)
    except ValueError:
        raise RunError(
            f"`--day` must be a number, or a date such as 2024-01-31. Received: {day!r}"
        ) from None
    return (date - dt.date(1970, 1, 1)).days, {"date": date.isoformat()}
