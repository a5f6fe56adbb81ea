"""Whether files are still those that a training began with."""

import datetime as dt
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rankup_keras.data.data_error import DataError

# Bytes at either end of a file that its mark covers.
ENDS = 1 << 14


class Mark(NamedTuple):
    """What tells one content of a file from another, without reading all of it."""

    size: int  # bytes
    changed: int  # time of the last change, in ns
    ends: int  # CRC-32 of the first and last bytes

    def __str__(self) -> str:
        when = dt.datetime.fromtimestamp(self.changed / 1e9).isoformat(" ", "seconds")
        return f"{self.size:,} bytes, written {when}"


def mark_of(path: Path) -> Mark:
    """The mark of a file as it is now."""
    try:
        with path.open("rb") as file:
            ends = zlib.crc32(file.read(ENDS))
            stat = path.stat()
            file.seek(max(ENDS, stat.st_size - ENDS))
            ends = zlib.crc32(file.read(ENDS), ends)
    except OSError as error:
        raise unreadable(path, error) from error
    return Mark(stat.st_size, stat.st_mtime_ns, ends)


def unreadable(path: Path, error: OSError) -> DataError:
    """The error of a file that the operating system does not give."""
    if isinstance(error, FileNotFoundError):
        return DataError("The file is gone. Put it back, or start anew without it.", path)
    return DataError(f"The file cannot be read: {error.strerror or error}.", path)


def check_unchanged(marks: Mapping[Path, Mark]) -> None:
    """Refuses files that are no longer as they were when they were marked.

    Raises:
        DataError: a file has changed or is gone.
    """
    for path, before in marks.items():
        now = mark_of(path)
        if now != before:
            raise DataError(
                f"The file has changed since it was first read: {before}; now {now}. Put it back "
                "or start anew. Rows that arrive later belong into files of their own.",
                path,
            )


def differences(before: Mapping[str, Sequence[Any]], now: Mapping[str, Sequence[Any]]) -> list[str]:
    """What is different between the fingerprints of files by part, in words."""
    found: dict[str, None] = {}
    for part in dict.fromkeys([*before, *now]):
        old, new = (
            {path: Mark(*mark) for path, *mark in side.get(part, ())} for side in (before, now)
        )
        for path in dict.fromkeys([*old, *new]):
            if path not in new:
                found[f"{path} is missing"] = None
            elif path not in old:
                found[f"{path} is new"] = None
            elif old[path] != new[path]:
                found[f"{path} had {old[path]}, and has {new[path]}"] = None
    return list(found)
