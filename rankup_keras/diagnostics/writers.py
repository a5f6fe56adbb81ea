"""Measurements on disk: JSON lines and TensorBoard."""

import os
import pathlib
from typing import Any

import tensorflow as tf

from rankup_keras.diagnostics.record import RankProfile


class JsonLines:
    """A file with one line a measurement, complete after every measurement.

    Args:
        path: The file; its folder is made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = pathlib.Path(path)

    def open(self, append: bool) -> None:
        """Makes the folder, and empties the file unless it is to be continued."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not append:
            self._path.write_text("", encoding="utf-8")

    def write(self, profile: RankProfile) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(profile.to_json() + "\n")


class TensorBoardScalars:
    """Scalars of every measurement under `<log_dir>/effective_rank`.

    Args:
        log_dir: The directory that TensorBoard is pointed at.
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self._log_dir = os.path.join(os.fspath(log_dir), "effective_rank")
        self._writer: Any = None

    def write(self, profile: RankProfile) -> None:
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(self._log_dir)
        with self._writer.as_default():
            for key, value in profile.numbers().items():
                tf.summary.scalar(key, value, step=profile.step)

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()
