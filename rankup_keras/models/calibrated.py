"""A trained model whose probabilities are calibrated, and how it is found."""

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from rankup_keras._registry import serializable
from rankup_keras.layers.towers import IsotonicCalibration, PlattScaling
from rankup_keras.models.ranking_model import RankingModel
from rankup_keras.models.raw_rows import RawRows
from rankup_keras.models.sampled_labels import weights_of_all, without_rates

METHODS = ("platt", "isotonic")


@serializable
class Calibrated(RankingModel):
    """A model with a calibration behind each task, to evaluate, save, export and serve.

    It shares the layers and weights of the model that it was made from, its `base`, and does not
    train: train the base, and calibrate it again.

    Args:
        model: a trained model.
        calibrations: dict from task name to a layer of probabilities, as `PlattScaling` and
            `IsotonicCalibration`; tasks that are not named stay as they are.
        name: name of the model.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"ad": ["a", "b"], "user": ["x", "y"], "click": [0, 1]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
    calibrated = rk.models.Calibrated(model, {"click": rk.layers.PlattScaling(offset=-2.3)})
    assert calibrated.predict(rows, verbose=0)["click"].max() < 0.5
    ```
    """

    _in_entire_space = True

    def __init__(
        self, model: RankingModel, calibrations: Mapping[str, Any], name: str | None = None
    ) -> None:
        unknown = sorted(set(calibrations) - {task.name for task in model.tasks})
        if unknown:
            raise ValueError(
                "`calibrations` must be by task: "
                f"{[task.name for task in model.tasks]}. Received: {unknown}."
            )
        outputs = {
            task: calibrations[task](output) if task in calibrations else output
            for task, output in model.output.items()
        }
        settings = {
            "model": keras.saving.serialize_keras_object(model),
            "calibrations": {
                task: keras.saving.serialize_keras_object(layer)
                for task, layer in calibrations.items()
            },
        }
        inputs = {tensor.name: tensor for tensor in model.inputs}
        super().__init__(
            inputs, outputs, model.features, model.tasks, settings, name=name or model.name
        )
        # In a function, or Keras would track its layers twice.
        self._base = lambda: model

    @property
    def base(self) -> RankingModel:
        """The model without calibrations, whose weights these are."""
        return self._base()

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: a calibration is that of the weights that it was fitted with.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            "A calibrated model does not train, since its calibration belongs to the weights as "
            "they are. Train `model.base`, and calibrate it again."
        )

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **self._settings}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Calibrated":
        made = keras.saving.deserialize_keras_object(
            {"model": config["model"], "calibrations": config["calibrations"]}
        )
        return cls(made["model"], made["calibrations"], config["name"])


def calibrate(model: RankingModel, data: Any, method: str = "platt") -> Calibrated:
    """Fits a calibration of every task on rows that the model was not trained on.

    Args:
        model: a trained model; of a `Calibrated` one the `base` is calibrated anew.
        data: validation rows with labels, in memory, in any of the forms that `evaluate` takes,
            with sample weights or without. Rows whose label is missing are left out; a negative
            of a task with a `keep_rate` has the weight `1 / rate`, for the rows it stands for.
        method: `"platt"` (default), `σ(a logit(p) + b)` by maximum likelihood, for thousands of
            rows; `"isotonic"`, a rising curve, for tens of thousands.

    Returns:
        A `Calibrated` model. A task of one class alone stays as it is, with a warning.

    Raises:
        ValueError: another `method`, or no rows.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"ad": ["a", "b"] * 4, "user": list("xxyyxxyy"), "click": [0, 1, 1, 0, 1, 0, 0, 1]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
    calibrated = rk.calibrate(model, rows)
    print(calibrated.predict(rows, verbose=0)["click"].mean())  # 0.5, the mean of the labels
    ```

    References:
        - Platt, "Probabilistic outputs for support vector machines", 1999, equation 1 (without
          his smoothed targets).
        - Zadrozny and Elkan, KDD 2002, section 4 (isotonic regression).
    """
    model = model.base if isinstance(model, Calibrated) else model
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}. Received: method={method!r}.")
    # Where rows are a dataset, scores and labels must be of the same pass.
    x, labels, weights = RawRows(model.features, model.tasks).examples(data)
    if not isinstance(labels, Mapping):
        batches = [(x, *_padded(rest)) for x, *rest in x]
        if not batches:
            raise ValueError("`data` has no rows to calibrate on.")
        parts = [(model.predict_on_batch(x), y, w) for x, y, w in batches]
        scores, labels = (
            {t.name: np.concatenate([np.asarray(p[i][t.name]) for p in parts]) for t in model.tasks}
            for i in (0, 1)
        )
        weights = None if parts[0][2] is None else _joined([p[2] for p in parts])
    else:
        scores = model.predict(x, verbose=0)
    labels, rates = without_rates(labels)
    fitted = {}
    for task in model.tasks:
        w = weights.get(task.name) if isinstance(weights, Mapping) else weights
        if task.name in rates:
            of_all = weights_of_all(labels[task.name], rates[task.name])
            w = of_all if w is None else np.reshape(w, (-1, 1)) * of_all
        layer = _fit(scores[task.name], labels[task.name], w, method, task.name)
        if layer is not None:
            fitted[task.name] = layer
    return Calibrated(model, fitted)


def _padded(rest: Any) -> tuple[Any, Any]:
    return (*rest, None)[:2]


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return np.concatenate(parts)


def _fit(scores: Any, labels: Any, weights: Any, method: str, task: str) -> Any:
    p, y = (np.asarray(a, np.float64).ravel() for a in (scores, labels))
    w = np.ones_like(y) if weights is None else np.asarray(weights, np.float64).ravel()
    known = ~np.isnan(y) & (w > 0)
    p, y, w = p[known], y[known], w[known]
    if not len(y) or y.min() == y.max():
        warnings.warn(
            f"Task {task!r} is not calibrated: its {len(y)} labels are of one class.", stacklevel=3
        )
        return None
    if method == "platt":
        return PlattScaling(*platt(p, y, w), name=f"{task}_calibration")
    return IsotonicCalibration(*isotonic(p, y, w), name=f"{task}_calibration")


def platt(p: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Slope and offset of the greatest likelihood."""
    from scipy.optimize import minimize
    from scipy.special import expit

    p = np.clip(p, 1e-7, 1 - 1e-7)
    x = np.stack([np.log(p / (1 - p)), np.ones_like(p)])
    share = w / w.sum()

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        logit = theta @ x
        return float(share @ (np.logaddexp(0, logit) - y * logit)), x @ (share * (expit(logit) - y))

    def curvature(theta: np.ndarray) -> np.ndarray:
        q = expit(theta @ x)
        return (x * share * q * (1 - q)) @ x.T

    start = np.array([1.0, 0.0])
    found = minimize(loss, start, jac=True, hess=curvature, method="trust-exact", tol=1e-12)
    return float(found.x[0]), float(found.x[1])


def isotonic(p: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[list[float], list[float]]:
    """Scores and rates of the rising curve of least squares, by pooled neighbors."""
    from scipy.optimize import isotonic_regression

    scores, place = np.unique(p.astype(np.float32), return_inverse=True)
    weight = np.bincount(place, w)
    rates = isotonic_regression(np.bincount(place, w * y) / weight, weights=weight).x
    # Points between equal neighbors lie on the line anyway.
    keep = np.ones(len(rates), bool)
    keep[1:-1] = (rates[1:-1] != rates[:-2]) | (rates[1:-1] != rates[2:])
    return scores[keep].tolist(), rates[keep].tolist()
