"""What a run writes at the end of every epoch."""

import json
from pathlib import Path
from typing import Any

import keras


class LineFile:
    """A file of JSON, one object a line.

    Args:
        path: the file, made by the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: dict[str, Any]) -> None:
        """Appends a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


class MetricsLog(keras.callbacks.Callback):
    """Writes a line of JSON an epoch, and one to the log.

    Args:
        path: file of the lines.
        logger: log that gets a line an epoch.
    """

    def __init__(self, path: Path, logger: Any) -> None:
        super().__init__()
        # `Resume` finds it here, and cuts it back to the checkpoint that it goes on from.
        self.lines = LineFile(path)
        self.logger = logger

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {key: float(value) for key, value in (logs or {}).items()}
        self.lines.write({"epoch": epoch + 1, **values})
        shown = ", ".join(f"{key} {value:.6g}" for key, value in values.items())
        self.logger.info("epoch %d: %s", epoch + 1, shown)
