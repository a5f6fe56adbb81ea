"""What a run writes while it trains, so that it can go on where it stopped."""

import json
import os
from pathlib import Path
from typing import Any

import keras


class MetricsLog(keras.callbacks.Callback):
    """Writes a line of JSON an epoch, and the model as it is then.

    Args:
        path: file of the lines.
        checkpoint: file of the model, optimizer included.
        logger: log that gets a line an epoch.
    """

    def __init__(self, path: Path, checkpoint: Path, logger: Any) -> None:
        super().__init__()
        self.path = path
        self.checkpoint = checkpoint
        self.logger = logger

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {key: float(value) for key, value in (logs or {}).items()}
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_name(".partial.keras")
        self.model.save(partial)
        os.replace(partial, self.checkpoint)
        # After the model: a line says that its epoch can be gone on from.
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch + 1, **values}) + "\n")
        shown = ", ".join(f"{key} {value:.6g}" for key, value in values.items())
        self.logger.info("epoch %d: %s", epoch + 1, shown)


class ResumedEarlyStopping(keras.callbacks.EarlyStopping):
    """Early stopping that knows the epochs before a resumed run's first.

    Args:
        past: their logs.
        **kwargs: as of `keras.callbacks.EarlyStopping`.
    """

    def __init__(self, past: list[dict[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._past = past

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        for epoch, values in enumerate(self._past):
            self.on_epoch_end(epoch, values)
