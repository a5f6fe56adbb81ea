"""Checkpoints on disk: each complete or absent, the last ones kept."""

import json
import os
import pathlib
import re
import shutil
import warnings
from collections.abc import Callable
from typing import Any

from rankup_keras import durable

_NAME = re.compile(r"checkpoint-(\d{8})")


class CheckpointsDamagedError(ValueError):
    """There are checkpoints, and none of them is intact."""


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

    def state(self, number: int) -> dict[str, Any]:
        """What a checkpoint says of itself."""
        return json.loads((self.path(number) / "state.json").read_text())

    def newest_good(self) -> int | None:
        """Number of the newest intact checkpoint, with a warning for damaged ones.

        Returns:
            `None` where there is no checkpoint.

        Raises:
            CheckpointsDamagedError: none of those that are there is intact.
        """
        problems: list[str] = []
        for number in reversed(self.numbers()):
            problem = durable.find_damage(self.path(number))
            if problem is None:
                for text in problems:
                    warnings.warn(f"Checkpoint {text}", stacklevel=2)
                return number
            problems.append(f"'{self.path(number)}' is damaged and skipped: {problem}.")
        if problems:
            raise CheckpointsDamagedError(
                f"No checkpoint in '{self.directory}' is intact, so this training cannot be "
                f"resumed: {' '.join(problems).replace(' and skipped', '')} Restore the folder "
                "from a backup, or train anew in another folder."
            )
        return None

    def write(self, fill: Callable[[pathlib.Path], Any], publish: bool = True) -> None:
        """Writes the next checkpoint and removes the oldest.

        Args:
            fill: writes files into the folder that it is given.
            publish: bool. `False` throws them away: TensorFlow asks all workers
                to save, and one to keep.
        """
        unfinished = self.directory / self._temporary
        with durable.blamed(unfinished):
            try:
                self._write(unfinished, fill, publish)
            except Exception:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise

    def _write(
        self, unfinished: pathlib.Path, fill: Callable[[pathlib.Path], Any], publish: bool
    ) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        fill(unfinished)
        if not publish:
            shutil.rmtree(unfinished)
            return
        durable.seal(unfinished)
        numbers = self.numbers()
        unfinished.rename(self.path(numbers[-1] + 1 if numbers else 0))
        durable.flush(self.directory)
        for number in numbers[: len(numbers) + 1 - self.keep]:
            # Renamed first: half a checkpoint must not have a checkpoint's name.
            self.path(number).rename(unfinished)
            shutil.rmtree(unfinished)
