"""Measurements on disk: JSON lines and TensorBoard."""

import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from rankup_keras.diagnostics import plots
from rankup_keras.diagnostics.record import RankProfile, read_profiles

# Share of the time that pictures may take while training goes on.
_SHARE = 0.01


class JsonLines:
    """A file with one line per measurement, complete after every measurement.

    Args:
        path: The file; its folder is made.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)

    def open(self, continued: Sequence[str] | None) -> list[RankProfile]:
        """Makes the folder, and empties the file unless it is to be continued.

        Args:
            continued: Names of the layers, where training resumes: a file of
                the same layers is kept. `None` for a new training.

        Returns:
            The measurements that the file holds already.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if continued is not None and self.path.exists() and self.path.stat().st_size:
            earlier = read_profiles(self.path)
            if list(earlier[-1].layers) == list(continued):
                return earlier
        self.path.write_text("", encoding="utf-8")
        return []

    def write(self, profile: RankProfile) -> None:
        """Adds a measurement."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(profile.to_json() + "\n")


class TensorBoardPages:
    """Scalars of every measurement and pictures of the course, under `<log_dir>/effective_rank`.

    Args:
        log_dir: The directory that TensorBoard is pointed at.

    Attributes:
        seconds: What the pictures have cost so far.
    """

    def __init__(self, log_dir: str | os.PathLike[str]) -> None:
        self.seconds = 0.0
        self._log_dir = os.path.join(os.fspath(log_dir), "effective_rank")
        self._writer: Any = None
        self._drawn = 0
        self._opened = 0.0
        self._last_cost = 1.0

    def write(self, profiles: Sequence[RankProfile]) -> None:
        """Writes the last measurement, given all so far.

        Pictures cost more than a measurement, so they are drawn as often as 1 %
        of the time allows, and once more by `close`.
        """
        if self._writer is None:
            self._opened = time.perf_counter()
            self._writer = tf.summary.create_file_writer(self._log_dir)
        profile = profiles[-1]
        with self._writer.as_default(step=profile.step):
            for key, value in profile.numbers().items():
                tf.summary.scalar(key, value)
            for name, ranks in profile.layers.items():
                if len(ranks.token_ranks) > 1:
                    tf.summary.histogram(f"token_ranks/{name}", ranks.token_ranks)
        allowed = _SHARE * (time.perf_counter() - self._opened)
        if self.seconds + self._last_cost <= allowed:
            self._draw(profiles)

    def close(self, profiles: Sequence[RankProfile]) -> None:
        """Draws what is not drawn yet, and makes everything readable."""
        if self._writer is None:
            return
        if len(profiles) > self._drawn:
            self._draw(profiles)
        self._writer.flush()

    def _draw(self, profiles: Sequence[RankProfile]) -> None:
        begun = time.perf_counter()
        with self._writer.as_default(step=profiles[-1].step):
            for name, figure in plots.training_figures(profiles).items():
                image = tf.io.decode_png(plots.png(figure), channels=3)
                tf.summary.image(f"effective_rank/{name}", image[None])
        self._drawn = len(profiles)
        self._last_cost = time.perf_counter() - begun
        self.seconds += self._last_cost
