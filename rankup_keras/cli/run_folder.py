"""The files of a run folder."""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from ruamel.yaml import YAML

from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import json_text


class RunFolder:
    """Where a run leaves what it makes; docs/cli.md says what each file is.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.log = path / "log.txt"
        self.metrics = path / "metrics.jsonl"
        self.ranks = path / "ranks.jsonl"
        self.report = path / "report.html"
        self.bad_rows = path / "bad_rows.jsonl"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best.keras"
        self.model = path / "model.keras"
        self.summary = path / "summary.json"
        self.export = path / "export"

    def load_model(self) -> Any:
        """The trained model, without its optimizer.

        Raises:
            RunError: there is none yet.
        """
        if not self.model.is_file():
            raise RunError(
                f"There is no trained model in {self.path}. Run `rankup-keras train` first, or "
                "name its folder with --run."
            )
        return keras.saving.load_model(self.model, compile=False)

    def save_model(self, model: Any) -> None:
        """Saves the trained model, whole or not at all."""
        partial = self.path / ".partial.keras"
        model.save(partial)
        partial.replace(self.model)

    def written_config(self) -> Any:
        """The configuration that the run was started with."""
        if not self.config.is_file():
            return {}
        return YAML(typ="safe").load(self.config.read_text(encoding="utf-8"))

    def clear(self) -> None:
        """Removes what a training leaves; exports and other files stay."""
        paths = (self.config, self.log, self.metrics, self.ranks, self.report, self.model)
        for path in (*paths, self.summary):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def epochs(self) -> int:
        """How many epochs have ended so far."""
        if not self.metrics.is_file():
            return 0
        return len(self.metrics.read_text(encoding="utf-8").splitlines())

    def start_log(self) -> logging.Logger:
        """A log that goes to `log.txt`."""
        logger = logging.getLogger("rankup_keras.run")
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        handler = logging.FileHandler(self.log, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        return logger


class LineFile:
    """A file of JSON objects, one per line.

    Args:
        path: the file, made by the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json_text(record) + "\n")


class MetricsLog(keras.callbacks.Callback):
    """Writes the values of every epoch, as a line of JSON and as a line of the log.

    Args:
        path: file of the lines.
        logger: log that gets a line per epoch.
    """

    def __init__(self, path: Path, logger: logging.Logger) -> None:
        super().__init__()
        # `Resume` finds it here, and cuts it back to the checkpoint that it resumes from.
        self.lines = LineFile(path)
        self.logger = logger

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {key: float(value) for key, value in (logs or {}).items()}
        self.lines.write({"epoch": epoch + 1, **values})
        shown = ", ".join(f"{key} {value:.6g}" for key, value in values.items())
        self.logger.info("epoch %d: %s", epoch + 1, shown)


def write_text(path: Path, text: str) -> None:
    """Writes text, the whole of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
