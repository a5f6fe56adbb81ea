"""The days that a run was updated by, one line each."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from rankup_keras import durable
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import json_text
from rankup_keras.cli.run_folder import RunFolder


class Series:
    """`days.jsonl` of a run: what each day found, in order, refused ones among them."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        text = run.days.read_text(encoding="utf-8") if run.days.is_file() else ""
        self.days: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]

    def write(self, line: Mapping[str, Any]) -> None:
        """Adds a day, in place of one of the same number."""
        others = [other for other in self.days if other["day"] != line["day"]]
        self.days = sorted([*others, dict(line)], key=lambda other: other["day"])
        durable.write_text(self.run.days, "".join(json_text(day) + "\n" for day in self.days))

    def trained_on(self, data: list[Any], asked: str | None) -> dict[str, Any] | None:
        """The day that was trained on these files, `None` where they are new.

        Args:
            data: `Files.fingerprint` of the files.
            asked: the day that was asked for.

        Raises:
            RunError: some of them are of another day.
        """
        ours = _marks(data)
        for line in (line for line in self.days if not line["refused"]):
            theirs = _marks(line["data"])
            if theirs.keys() == ours.keys() and asked in (None, str(line["day"]), line.get("date")):
                return line
            known = [path for mark, path in ours.items() if mark in theirs]
            if known:
                raise RunError(
                    f"{known[0]} was trained on already, as a file of day {line['day']}. Give "
                    "the rows of a new day."
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
    """Paths of files by size, time of change and checksum: a file may have moved."""
    return {tuple(mark): path for path, *mark in files}


def _parsed(day: str) -> tuple[int, dict[str, str]]:
    if day.isdecimal():
        return int(day), {}
    try:
        date = dt.date.fromisoformat(day)
    except ValueError:
        raise RunError(
            f"`--day` must be a number, or a date such as 2024-01-31. Received: {day!r}"
        ) from None
    return (date - dt.date(1970, 1, 1)).days, {"date": date.isoformat()}
