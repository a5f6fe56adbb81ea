"""Checkpoints on disk: each complete or absent, the last ones kept."""

import json
import os
import pathlib
import re
import shutil
import warnings
import zlib
from collections.abc import Callable
from typing import Any

MANIFEST = "manifest.json"
_NAME = re.compile(r"checkpoint-(\d{8})")


class CheckpointStore:
    """Numbered checkpoints in a folder.

    A checkpoint is a folder. It is written under a temporary name, its files and
    their checksums are flushed to the disk, and one rename makes it visible:
    a process killed at any moment leaves a complete checkpoint or none.

    Args:
        directory: the folder; made when the first checkpoint is written.
        keep: int. How many checkpoints stay. Defaults to 2.
        writer: str. Name of this process among those that write at the same time.
    """

    def __init__(
        self, directory: str | os.PathLike[str], keep: int = 2, writer: str = "chief"
    ) -> None:
        self.directory = pathlib.Path(directory)
        self.keep = keep
        self._temporary = f"unfinished-{writer}"

    def numbers(self) -> list[int]:
        """Numbers of all checkpoints, damaged ones included, ascending."""
        if not self.directory.is_dir():
            return []
        found = (_NAME.fullmatch(path.name) for path in self.directory.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, number: int) -> pathlib.Path:
        """Folder of a checkpoint."""
        return self.directory / f"checkpoint-{number:08d}"

    def newest_good(self) -> int | None:
        """Number of the newest intact checkpoint, with a warning for damaged ones."""
        for number in reversed(self.numbers()):
            problem = find_damage(self.path(number))
            if problem is None:
                return number
            warnings.warn(
                f"Checkpoint '{self.path(number)}' is damaged and skipped: {problem}.",
                stacklevel=2,
            )
        return None

    def write(self, fill: Callable[[pathlib.Path], Any], publish: bool = True) -> None:
        """Writes the next checkpoint and removes the oldest.

        Args:
            fill: writes files into the folder that it is given.
            publish: bool. `False` throws them away: TensorFlow asks all workers
                to save, and one to keep.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        unfinished = self.directory / self._temporary
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        fill(unfinished)
        if not publish:
            shutil.rmtree(unfinished)
            return
        files = sorted(path for path in unfinished.iterdir())
        manifest = {path.name: [path.stat().st_size, checksum(path)] for path in files}
        (unfinished / MANIFEST).write_text(json.dumps(manifest))
        for path in [*files, unfinished / MANIFEST, unfinished]:
            _flush(path)
        numbers = self.numbers()
        unfinished.rename(self.path(numbers[-1] + 1 if numbers else 0))
        _flush(self.directory)
        for number in numbers[: len(numbers) + 1 - self.keep]:
            # Renamed first: half a checkpoint must not have a checkpoint's name.
            self.path(number).rename(unfinished)
            shutil.rmtree(unfinished)


def find_damage(folder: pathlib.Path) -> str | None:
    """What is wrong with a checkpoint, or `None`."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        for name, (size, expected) in manifest.items():
            path = folder / name
            if not path.is_file():
                return f"'{name}' is missing"
            if path.stat().st_size != size:
                return f"'{name}' has {path.stat().st_size} bytes instead of {size}"
            if checksum(path) != expected:
                return f"'{name}' does not have the checksum that it was written with"
    except (OSError, ValueError, TypeError) as error:
        return f"its list of files cannot be read ({type(error).__name__})"
    return None


def checksum(path: pathlib.Path) -> int:
    """CRC-32 of a file."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value


def _flush(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
