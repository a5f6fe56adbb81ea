"""One training per folder: a lock that keeps a second process out."""

import contextlib
import json
import os
import pathlib
import socket
import time

import filelock

LOCK, OWNER = "training.lock", "training.owner.json"


class FolderInUseError(RuntimeError):
    """Another process trains into the same folder."""


class FolderLock:
    """Held by the process that trains into a folder.

    The operating system holds it, so that a process that was killed leaves none behind. The
    process that holds it may take it again.

    Args:
        folder: the folder, made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = pathlib.Path(folder).absolute()
        self._made: list[pathlib.Path] = []
        self._lock = filelock.FileLock(self.folder / LOCK, timeout=0, is_singleton=True)

    def acquire(self) -> None:
        """Takes the lock.

        Raises:
            FolderInUseError: another process has it.
            OSError: the folder cannot be written.
        """
        missing = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._made = self._made or missing
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise FolderInUseError(
                f"'{self.folder}' is in use{self._owner()}. Wait for its end, or train into "
                "another folder."
            ) from None
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": started}
        (self.folder / OWNER).write_text(json.dumps(owner))

    def release(self) -> None:
        """Gives it back, and removes the folders that it made if nothing was written there."""
        if self._lock.lock_counter == 1:
            (self.folder / OWNER).unlink(missing_ok=True)
            if self._made and [path.name for path in self.folder.iterdir()] == [LOCK]:
                # Nothing came of it. Elsewhere the file stays: another process may wait at it.
                (self.folder / LOCK).unlink()
        self._lock.release()
        with contextlib.suppress(OSError):
            for path in self._made:
                path.rmdir()

    def _owner(self) -> str:
        try:
            owner = json.loads((self.folder / OWNER).read_text())
            return (
                f": process {owner['pid']} on {owner['host']} trains there since {owner['since']}"
            )
        except (OSError, ValueError, TypeError, KeyError):
            return " by another process"

    def __enter__(self) -> "FolderLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
