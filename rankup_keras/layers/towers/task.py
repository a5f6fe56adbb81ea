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
        loss: a Keras loss of probabilities, its name or its config. Defaults to
            binary cross-entropy.

    Raises:
        ValueError: a name that cannot be an output's, a weight that is not
            positive, or a loss that Keras does not know.

    Example:

    ```python
    import keras
    import rankup_keras as rk

    rows = {"ad": ["a", "b"], "user": ["x", "y"], "click": [1, 0], "bought": [1, 1]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    buy = rk.Task("buy", weight=2.0, label="bought", loss=keras.losses.BinaryFocalCrossentropy())
    model = rk.DLRM(features, ["click", buy], embedding_dim=4, top_units=(8,))
    model.compile()
    history = model.fit(rows, verbose=0).history
    print(history["loss"], history["click_loss"], history["buy_loss"])
    ```
    """

    def __init__(
        self, name: str, weight: float = 1.0, label: str | None = None, loss: Any = None
    ) -> None:
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(f"`name` must be a non-empty string without '/'. Received: {name!r}.")
        if not weight > 0:
            raise ValueError(
                f"`weight` of task {name!r} must be positive. Received: weight={weight}."
            )
        self.name = name
        self.weight = float(weight)
        self.label = label or name
        self.loss: Any = keras.losses.get("BinaryCrossentropy" if loss is None else loss)

    def metrics(self) -> list[Any]:
        """The metrics that `compile` adds by default: AUC and log loss."""
        return ["auc", keras.metrics.BinaryCrossentropy(name="log_loss")]

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "weight": self.weight,
            "label": self.label,
            "loss": keras.losses.serialize(self.loss),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Task":
        return cls(**config)

    def __repr__(self) -> str:
        return f"Task({self.name!r}, weight={self.weight})"
