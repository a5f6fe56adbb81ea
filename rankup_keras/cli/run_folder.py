"""The files of a run folder."""

import contextlib
import json
import shutil
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from rankup_keras import durable
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.output import json_text
from rankup_keras.cli.yaml_reader import read_yaml
from rankup_keras.training.folder_lock import FolderLock
from rankup_keras.training.resume_store import CheckpointStore


class RunFolder:
    """Where a run leaves what it makes; docs/operations.md says what each file is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.log = path / "log.txt"
        self.metrics = path / "metrics.jsonl"
        self.ranks = path / "ranks.jsonl"
        self.report = path / "report.html"
        self.bad_rows = path / "bad_rows.jsonl"
        self.learned = path / "learned"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best.keras"
        self.model = path / "model.keras"
        self.summary = path / "summary.json"
        # Of a run that is updated from day to day.
        self.uncalibrated = path / "uncalibrated.keras"
        self.ledger = path / "ledger.parquet"
        self.days = path / "days.jsonl"
        self.updating = path / ".partial_update"
        self.updated = path / "update"
        # Its last part is the name that the model is served under.
        self.export = path / "export" / path.resolve().name
        self.lock = FolderLock(path)

    def load_model(self) -> Any:
        """The trained model, without its optimizer."""
        if not self.model.is_file():
            raise RunError(
                f"There is no trained model in {self.path}. Run `rankup-keras train` first, or "
                "name its folder with --run."
            )
        return load_model(self.model)

    def save_model(self, model: Any) -> None:
        """Saves the trained model, whole or not at all."""
        partial = self.path / ".partial.keras"
        with durable.blamed(partial):
            try:
                model.save(partial)
                durable.flush(partial)
                partial.replace(self.model)
            finally:
                partial.unlink(missing_ok=True)

    def written_config(self) -> Any:
        """The configuration that the run was started with."""
        if not self.config.is_file():
            return {}
        try:
            return read_yaml(self.config.read_text(encoding="utf-8"))[0]
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise damaged(self.config, error) from error

    def read_summary(self) -> dict[str, Any]:
        """What `train` has left there; empty where nothing is."""
        if not self.summary.is_file():
            return {}
        try:
            found = json.loads(self.summary.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError("it holds no object")
        except ValueError as error:
            raise damaged(self.summary, error) from error
        return found

    def last_state(self) -> dict[str, Any] | None:
        """What the newest intact checkpoint says of itself, `None` where there is none."""
        store = CheckpointStore(self.checkpoints)
        number = store.newest_good()
        return None if number is None else store.state(number)

    def trained_files(self) -> list[Any]:
        """Fingerprint of the files whose rows `train` drew from; empty where that is not known.

        Of files that were split by a column or by time, others may be left for later.
        """
        store = CheckpointStore(self.checkpoints)
        for number in reversed(store.numbers()):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                data = store.state(number)["data"]
                split = data["split"] or {}
                return [] if split.get("column") or split.get("time") else data["files"]["train"]
        return []

    def read_ledger(self) -> pa.Table | None:
        """Counts of values up to the last day; `None` before the first."""
        if not self.ledger.is_file():
            return None
        try:
            return pq.read_table(self.ledger)
        except pa.ArrowException as error:
            raise damaged(self.ledger, error) from error

    def clear(self) -> None:
        """Removes what a training leaves; exports and other files stay."""
        paths = (self.config, self.log, self.metrics, self.ranks, self.report, self.model)
        for path in (*paths, self.summary, self.uncalibrated, self.ledger, self.days):
            path.unlink(missing_ok=True)
        for folder in (self.checkpoints, self.learned, self.updating, self.updated):
            if folder.is_dir():
                shutil.rmtree(folder)

    def epochs(self) -> int:
        """How many epochs have ended so far."""
        if not self.metrics.is_file():
            return 0
        return len(self.metrics.read_text(encoding="utf-8").splitlines())

    def note(self, text: str) -> None:
        """Adds to the log."""
        durable.append_line(self.log, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")


class LineFile:
    """A file of JSON objects, one per line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends a line."""
        durable.append_line(self.path, json_text(record))


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


def load_model(path: Path, compiled: bool = False) -> Any:
    """A saved model, without its optimizer unless `compiled`; nothing in the file is run.

    Raises:
        RunError: the file is damaged, or holds what is no model of layers that are known.
    """
    if not zipfile.is_zipfile(path):
        raise RunError(
            f"{path} is damaged: it is no complete .keras file, which was cut short or is another "
            "file. Restore it from a backup, or train again."
        )
    try:
        return keras.saving.load_model(path, compile=compiled, safe_mode=True)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(
            f"{path} is refused: it is damaged, or holds something else than a model of known "
            f"layers. Keras says: {reason[:400]}"
        ) from error


def damaged(path: Path, error: Exception) -> RunError:
    """What is said of a file of a run that cannot be read."""
    first = " ".join(str(error).split())[:200]
    return RunError(
        f"{path} is damaged: {first}. Restore it from a backup, or train again with --overwrite."
    )
