"""A task: what a tower predicts and how it is trained."""

from typing import Any

import keras

from rankup_keras._registry import serializable


@serializable
class Task:
    """One binary label to predict.

    Args:
        name: str. Name of the output, of its metrics and of the column in an
            exported model's answer.
        weight: float. Weight of the task's loss in the sum. Defaults to 1.
        label: str or `None`. Column that holds the label, where labels stand
            among the columns of a row. Defaults to `name`.
    """

    def __init__(self, name: str, weight: float = 1.0, label: str | None = None) -> None:
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(f"`name` must be a non-empty string without '/'. Received: {name!r}.")
        if not weight > 0:
            raise ValueError(
                f"`weight` of task {name!r} must be positive. Received: weight={weight}."
            )
        self.name = name
        self.weight = float(weight)
        self.label = label or name

    def loss(self) -> keras.losses.Loss:
        """The loss of this task's probability."""
        return keras.losses.BinaryCrossentropy(name=f"{self.name}_loss")

    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics that `compile` adds by default: AUC and log loss."""
        return [
            keras.metrics.AUC(num_thresholds=1000, name="auc"),
            keras.metrics.BinaryCrossentropy(name="log_loss"),
        ]

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "weight": self.weight, "label": self.label}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Task":
        return cls(**config)

    def __repr__(self) -> str:
        return f"Task({self.name!r}, weight={self.weight})"
