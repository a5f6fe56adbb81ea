"""What a run writes while it trains, so that it can go on where it stopped."""

import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np


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
        states: dict[str, Any] = {
            str(i): np.asarray(v) for i, v in enumerate(random_states(self.model))
        }
        np.savez(self.checkpoint.with_suffix(".random.npz"), **states)
        # After the model: a line says that its epoch can be gone on from.
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch + 1, **values}) + "\n")
        shown = ", ".join(f"{key} {value:.6g}" for key, value in values.items())
        self.logger.info("epoch %d: %s", epoch + 1, shown)


def random_states(model: Any) -> list[Any]:
    """What dropout draws its next numbers from, which `.keras` files leave out."""
    return [v for v in model.non_trainable_variables if "seed_generator_state" in v.path]


def restore(model: Any, checkpoint: Path) -> None:
    """Puts optimizer and random states of a checkpoint into a compiled model of its weights."""
    saved = keras.saving.load_model(checkpoint)
    model.optimizer.build(model.trainable_variables)
    for variable, value in zip(model.optimizer.variables, saved.optimizer.variables, strict=True):
        variable.assign(value)
    with np.load(checkpoint.with_suffix(".random.npz")) as states:
        for number, variable in enumerate(random_states(model)):
            variable.assign(states[str(number)])


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
