"""What happens to malformed rows."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from rankup_keras.data.data_error import DataError
from rankup_keras.strict_json import strict_json

POLICIES = ("error", "skip")
SAMPLED = 1000


class BadRows:
    """Stops at the first malformed row, or skips malformed rows and counts them.

    A row is malformed when a value in it is not what its feature declares, when
    a label is not 0 or 1, or when a line has too many or too few values. It is
    counted once, however often its file is read.

    Args:
        policy: `"error"` (default) raises `DataError` with file, line, column
            and value; `"skip"` skips the row.
        limit: int. With `"skip"`, more malformed rows than this stop the run all
            the same. Defaults to 1000.
        path: file that receives a line of JSON for each of the first 1000
            malformed rows: file, line, column, value, reason. `None` (default)
            for none.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item"), rk.Numeric("price")])
    bad = rk.data.BadRows("skip", limit=100, path="bad_rows.jsonl")
    train = rk.data.Files("malformed.csv", features, ["click"], bad_rows=bad)
    rk.data.adapt(features, train)
    assert bad.count == 1
    ```
    """

    def __init__(
        self,
        policy: str = "error",
        limit: int = 1000,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        if policy not in POLICIES:
            raise ValueError(f"`policy` must be one of {POLICIES}. Received: policy={policy!r}.")
        if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 0:
            raise ValueError(f"`limit` must be an integer, 0 or more. Received: limit={limit!r}.")
        self.policy = policy
        self.limit = limit
        self.path = None if path is None else Path(path)
        self._seen: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def take_up(self) -> None:
        """Counts the rows that an earlier run wrote to `path`, and writes none of them again."""
        if self.path is not None and self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                    self._seen.add((record["file"], record["line"]))
                except (ValueError, TypeError, KeyError):
                    raise DataError(
                        "The line is no record of a malformed row.", self.path
                    ) from None

    @property
    def count(self) -> int:
        """How many different rows were skipped."""
        return len(self._seen)

    def report(
        self, file: str | os.PathLike[str], line: int, column: str | None, value: Any, reason: str
    ) -> None:
        """Counts a malformed row, or raises."""
        shown = _shown(value)
        if self.policy == "error":
            raise DataError(reason, file, line, column, shown)
        with self._lock:
            key = (str(file), line)
            if key in self._seen:
                return
            if len(self._seen) >= self.limit:
                raise DataError(
                    f"{reason} This row is malformed too, and the limit is {self.limit}.",
                    file,
                    line,
                    column,
                    shown,
                )
            self._seen.add(key)
            if self.path is not None and len(self._seen) <= SAMPLED:
                record = {
                    "file": str(file),
                    "line": line,
                    "column": column,
                    "value": shown,
                    "reason": reason,
                }
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as out:
                    out.write(strict_json(record) + "\n")


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value if len(value) <= 200 else value[:200] + "…"
    if value is None or isinstance(value, bool | int | float):
        return value
    return _shown(repr(value))
