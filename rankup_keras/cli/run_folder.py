"""The files of a run folder."""

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from ruamel.yaml import YAML

from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import json_text


class RunFolder:
    """Where a run leaves what it makes; docs/cli.md says what each file is."""

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
        # Its last part is the name that the model is served under.
        self.export = path / "export" / path.resolve().name

    def load_model(self) -> Any:
        """The trained model, without its optimizer."""
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

    def note(self, text: str) -> None:
        """Adds to the log."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


class LineFile:
    """A file of JSON objects, one per line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json_text(record) + "\n")


class MetricsLog(keras.callbacks.Callback):
    """Writes the values of every epoch, as a line of JSON and as a line of the log."""

    def __init__(self, run: RunFolder) -> None:
        super().__init__()
        # `Resume` finds it here, and cuts it back to the checkpoint that it resumes from.
        self.lines = LineFile(run.metrics)
        self.run = run

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {key: float(value) for key, value in (logs or {}).items()}
        self.lines.write({"epoch": epoch + 1, **values})
        shown = ", ".join(f"{key} {value:.6g}" for key, value in values.items())
        self.run.note(f"epoch {epoch + 1}: {shown}")


def write_text(path: Path, text: str) -> None:
    """Writes text, the whole of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
