"""A task: what a tower predicts and how it is trained."""

import numbers
import re
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.features.positive import Positive

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@serializable
class Task:
    """One binary label to predict.

    Args:
        name: str. Name of the output, of its metrics and of the column in an
            exported model's answer.
        weight: float. Weight of the task's loss in the sum. Defaults to 1.
        label: str or `None`. Column that holds the label, where labels stand
            among the columns of a row. Defaults to `name`.
        positive: which values of the label's column are positive, where they are not 0 and 1: a
            comparison with a number such as `">= 4"`, or a value or list of values such as
            `"yes"`, compared as text, in columns of numbers as numbers, in columns of booleans
            as true and false of any case. A missing value stays missing. Labels that are given
            beside the columns are 0 and 1 already. Defaults to `None`.
        loss: a Keras loss of probabilities, its name or its config. Defaults to
            binary cross-entropy.
        missing_labels: what a label that is missing (NaN, null) does. `"refuse"` (default): an
            error. `"skip"`: loss and metrics of this task leave the row out; the loss is the mean
            over the batch's rows that have a label, and that of an epoch over the epoch's.
        after: name of the task without which this one cannot happen, as a purchase without
            a click. The tower then gives the probability of this task *given* the other, and the
            output, which loss and metrics see on all rows, is the product of the two:
            `p(buy) = p(click) p(buy | click)`. The label is 0 in rows without the other; one that
            is missing there (`missing_labels="skip"`) counts as 0.
        keep_rate: fraction of the negatives that was kept in the training data, where negatives
            were downsampled: a number in (0, 1], or the name of a column if it varies by row. In a
            positive row it is the rate at which a negative with the same features would have been
            kept, not the positive's own, which is 1. The loss is that of `q`,
            `logit(q) = logit(p) - log(rate)`, so that the output `p` is calibrated for the original
            data, and serving needs no rates. Metrics see `p`. Rows with labels must have the
            column. Defaults to `None`: all were kept.

    Raises:
        ValueError: a name that cannot be an output's, a weight that is not
            positive, a `positive` that is no rule, a loss that Keras does not know, another
            `missing_labels`, a `keep_rate` outside (0, 1], or one together with a
            `DownsampledCrossentropy`, which corrects for it as well.

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

    References:
        - Ma et al., "Entire Space Multi-Task Model", SIGIR 2018, arXiv 1804.07931, equation 3
          (`after`).
        - He et al., "Practical Lessons from Predicting Clicks on Ads at Facebook", ADKDD 2014,
          section 6.3 (`keep_rate`, the inverse of its correction).
    """

    def __init__(
        self,
        name: str,
        weight: float = 1.0,
        label: str | None = None,
        loss: Any = None,
        missing_labels: str = "refuse",
        after: str | None = None,
        positive: Any = None,
        keep_rate: float | str | None = None,
    ) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            instead = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(name)).strip("_") or "label"
            raise ValueError(
                "`name` must be of letters a to z, digits, '_', '-' and '.', since tensors are "
                f"named after it. Received: {name!r}. Name the column apart: "
                f"Task({instead!r}, label={name!r})."
            )
        number: Any = weight
        if not (isinstance(number, numbers.Real) and float(number) > 0):
            raise ValueError(
                f"`weight` of task {name!r} must be a positive number. Received: weight={weight!r}."
            )
        if missing_labels not in ("refuse", "skip"):
            raise ValueError(
                f"`missing_labels` of task {name!r} must be 'refuse' or 'skip'. "
                f"Received: missing_labels={missing_labels!r}."
            )
        self.missing_labels = missing_labels
        self.after = after
        self.name = name
        self.weight = float(weight)
        self.label = label or name
        self.rule = None if positive is None else Positive(positive, name)
        self.positive = None if self.rule is None else self.rule.rule
        self.loss: Any = keras.losses.get("BinaryCrossentropy" if loss is None else loss)
        self.keep_rate = keep_rate
        if keep_rate is not None:
            self._check_rate(keep_rate)

    def _check_rate(self, rate: Any) -> None:
        number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
        column = isinstance(rate, str) and rate not in ("", self.label)
        if not (0 < rate <= 1 if number else column):
            raise ValueError(
                f"`keep_rate` of task {self.name!r} must be a number in (0, 1], or the name of a "
                f"column of such numbers. Received: keep_rate={rate!r}."
            )
        if hasattr(self.loss, "keep_rate"):
            raise ValueError(
                f"Give task {self.name!r} a `keep_rate` or a `DownsampledCrossentropy`, not both: "
                f"each corrects for the rate. Received: keep_rate={rate!r}."
            )

    def metrics(self) -> list[Any]:
        """The metrics that `compile` adds by default: AUC and log loss."""
        return ["auc", keras.metrics.BinaryCrossentropy(name="log_loss")]

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "weight": self.weight,
            "label": self.label,
            "loss": keras.losses.serialize(self.loss),
            "missing_labels": self.missing_labels,
            "after": self.after,
            "positive": self.positive,
            "keep_rate": self.keep_rate,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Task":
        return cls(**config)

    def __repr__(self) -> str:
        return f"Task({self.name!r}, weight={self.weight})"
