"""Auxiliary losses: heads on lower blocks, which train with the model and stay out of inference."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from rankup_keras.compat.mixed_in import MixedIn
from rankup_keras.layers.towers import EntireSpace, TaskTowers, TokenPooling


class TrainsLowerBlocks(MixedIn):
    """What `RankingModel` has of auxiliary losses, before `keras.Model` in its bases.

    A call for training also returns each head's probabilities, under `auxiliary_<n>/<task>`; loss
    and metrics take them apart again. A call for inference does not know the heads.
    """

    _with_heads: Callable[..., dict[str, Any]] | None = None
    _outputs_with_heads: Callable[[], dict[str, Any]] | None = None

    def train_lower_blocks(self, blocks: Sequence[Any], weight: float, policy: Any) -> None:
        """Adds `weight` times each task's loss of a linear head on each block's mean token.

        Args:
            blocks: symbolic outputs of blocks (batch, T, D).
            weight: 0 for no heads.
            policy: dtype policy of the heads.
        """
        if weight < 0:
            raise ValueError(
                f"`auxiliary_loss` must not be negative. Received: auxiliary_loss={weight}."
            )
        if not weight or not blocks:
            return
        model: Any = self
        names, heads, outputs = list(model.output), [], dict(model.output)
        chained = {task.name: task.after for task in model.tasks if task.after is not None}
        for number, tokens in enumerate(blocks, start=1):
            pooled = TokenPooling("mean", dtype=policy)(tokens)
            heads.append(TaskTowers(names, name=f"auxiliary_{number}", dtype=policy))
            found = heads[-1](pooled)
            if chained:
                found = EntireSpace(chained, name=f"auxiliary_{number}_entire_space")(found)
            outputs |= {f"auxiliary_{number}/{task}": found[task] for task in names}
        graph = keras.Model(model.input, outputs)
        # Keras tracks the heads, and not the graph, whose layers it would find twice.
        self.auxiliary_heads = heads
        self._with_heads = lambda inputs: graph(inputs, training=True)
        self._outputs_with_heads = lambda: outputs
        self._auxiliary_weight = weight

    def training_outputs(self) -> Any:
        """The symbolic outputs of a call for training; `None` where they are those of any call."""
        return None if self._outputs_with_heads is None else self._outputs_with_heads()

    def compile(
        self, optimizer: Any = None, loss: Any = None, loss_weights: Any = None, **kwargs: Any
    ) -> None:
        model: Any = self
        tasks = list(model.output)
        by_task = loss if isinstance(loss, Mapping) else dict.fromkeys(tasks, loss)
        weights = loss_weights if isinstance(loss_weights, Mapping) else {}
        self._auxiliary_losses = [
            (task, weights.get(task, 1.0), _Reduced(by_task.get(task))) for task in tasks
        ]
        kwargs |= {"loss": loss, "loss_weights": loss_weights}
        super().compile(optimizer, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if training and self._with_heads is not None:
            return self._with_heads(inputs)
        return super().call(inputs, training=training, mask=mask)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        own, of_heads = _apart(y_pred)
        loss = super().compute_loss(x, y, own, sample_weight, training)
        for place, found in of_heads.items():
            for task, weight, function in self._auxiliary_losses:
                if place.endswith(f"/{task}"):
                    rows = sample_weight
                    rows = rows.get(task) if isinstance(rows, Mapping) else rows
                    loss += self._auxiliary_weight * weight * function(y[task], found, rows)
        return loss

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        own, _ = _apart(y_pred)
        return super().compute_metrics(x, y, own, sample_weight)


def _apart(y_pred: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's own outputs, and those of heads; no task has a `/` in its name."""
    own = {name: value for name, value in y_pred.items() if "/" not in name}
    return own, {name: value for name, value in y_pred.items() if "/" in name}


class _Reduced(keras.losses.Loss):
    """A loss as `compile` takes it, averaged over rows whatever it is."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.function = keras.losses.get(loss)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if isinstance(self.function, keras.losses.Loss):
            return self.function(y_true, y_pred, sample_weight)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)
