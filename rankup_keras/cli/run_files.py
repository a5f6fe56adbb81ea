"""The files of a run folder."""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from ruamel.yaml import YAML

from rankup_keras.cli.problems import RunError


class RunFiles:
    """Names of what a run leaves in its folder, and how it is written.

    `config.yaml` the whole configuration with its defaults; `log.txt`;
    `metrics.jsonl` a line an epoch; `ranks.jsonl` and `report.html` the
    effective rank; `statistics.json` what features learned; `bad_rows.jsonl`;
    `checkpoints/` with what `--resume` goes on from and `best.keras`;
    `model.keras`; `summary.json`; `export/`.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.log = folder / "log.txt"
        self.metrics = folder / "metrics.jsonl"
        self.ranks = folder / "ranks.jsonl"
        self.report = folder / "report.html"
        self.bad_rows = folder / "bad_rows.jsonl"
        self.checkpoints = folder / "checkpoints"
        self.best = self.checkpoints / "best.keras"
        self.model = folder / "model.keras"
        self.summary = folder / "summary.json"
        self.export = folder / "export"

    def model_path(self) -> Path:
        """The trained model.

        Raises:
            RunError: there is none yet.
        """
        if not self.model.is_file():
            raise RunError(
                f"There is no trained model in {self.folder}. Run `rankup-keras train` first, or "
                "name its folder with --run."
            )
        return self.model

    def load_model(self) -> Any:
        """Loads the trained model, without its optimizer."""
        return keras.saving.load_model(self.model_path(), compile=False)

    def written_config(self) -> Any:
        """The configuration that the run was started with."""
        if not self.config.is_file():
            return {}
        return YAML(typ="safe").load(self.config.read_text(encoding="utf-8"))

    def clear(self) -> None:
        """Removes what a training leaves; exports and other files stay."""
        for path in (self.config, self.log, self.metrics, self.ranks, self.report, self.model):
            path.unlink(missing_ok=True)
        self.summary.unlink(missing_ok=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def history(self) -> list[dict[str, Any]]:
        """The epochs that were written so far."""
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]

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


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON, the whole of it or nothing."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes text, the whole of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
