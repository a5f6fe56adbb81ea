"""A study of many runs, one JSON line each, which can be interrupted and resumed."""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

Run = dict[str, Any]


class Study:
    """The runs of a file. A run is known by its `key`: data set, model, seed, settings, ...

    Args:
        path: The file; it is made with the first run.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.runs: list[Run] = [json.loads(line) for line in lines]

    def find(self, key: Mapping[str, Any]) -> Run | None:
        """The run with this key, if the file has it."""
        key = _as_read(key)
        for run in self.runs:
            if all(run.get(name) == value for name, value in key.items()):
                return run
        return None

    def run(self, key: Mapping[str, Any], make: Callable[[Run], Run]) -> Run:
        """The run with this key: from the file, or made by `make(key)` and written."""
        key = _as_read(key)
        if (found := self.find(key)) is not None:
            return found
        run = {**key, **make(key)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(run) + "\n")
        self.runs.append(_as_read(run))
        return self.runs[-1]


def _as_read(value: Mapping[str, Any]) -> Run:
    """As JSON gives it back: a tuple as a list."""
    return json.loads(json.dumps(value))
