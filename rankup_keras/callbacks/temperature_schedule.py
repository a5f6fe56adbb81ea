"""The temperature of learned mixings, lowered while a model trains."""

from typing import Any

import keras

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.layers.mixers import UniMixing


class TemperatureSchedule(keras.callbacks.Callback):
    """Lowers the temperature of all `UniMixing` layers from step to step, along a line.

    At a high temperature every block of entries mixes with every other; at a
    low one the mixing is nearly a permutation. The clock is the optimizer's
    number of steps, so that training that resumes goes on where it was, and
    the temperature is saved with the weights. The paper's other way, a warm
    start, is to load the weights of a model trained at 1 into one with
    `temperature=0.05`, and to set `layer.tau` after it.

    `history.history["temperature"]` has the value at the end of each epoch.

    Args:
        steps: int or `None`. Steps from `start` to `end`. `None` (default) for
            the whole `fit`, whose number of batches Keras must then know.
        start: float. Defaults to 1.
        end: float. Defaults to 0.05.

    Raises:
        ValueError: when `fit` begins: the model has no `UniMixing`, or the
            number of batches is unknown. At once: an argument that is not positive.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"ad": ["a", "b"] * 8, "user": ["x", "y"] * 8, "click": [0, 1] * 8}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    model = rk.RankMixer(features, ["click"], token_dim=8, num_tokens=2, mixing="unimixing")
    model.compile()
    history = model.fit(rows, epochs=2, callbacks=[rk.callbacks.TemperatureSchedule()], verbose=0)
    print(history.history["temperature"])
    ```

    References:
        - UniMixer, arXiv 2604.00590, temperature annealing.
    """

    def __init__(self, steps: int | None = None, start: float = 1.0, end: float = 0.05) -> None:
        super().__init__()
        for name, value in (("steps", steps), ("start", start), ("end", end)):
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}.")
        self.steps, self.start, self.end = steps, start, end

    def on_train_begin(self, logs: Any = None) -> None:
        layers = nested_layers(self.model)
        self._variables = tuple(layer.tau for layer in layers if isinstance(layer, UniMixing))
        if not self._variables:
            raise ValueError(
                f"Model '{self.model.name}' has no UniMixing layer, whose temperature "
                "TemperatureSchedule could lower."
            )
        if self.steps is None and not self.params.get("steps"):
            raise ValueError(
                "`steps` must be given where Keras does not know the number of batches. "
                "Received: steps=None."
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._first: int | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._first is None:
            # Once an epoch: reading the optimizer's variable waits for an accelerator.
            self._first = int(self.model.optimizer.iterations) - batch
        self._set(self._first + batch)

    def _set(self, step: int) -> None:
        last = self.steps or self.params["epochs"] * self.params["steps"]
        # The last step of the line is the first with the last value.
        share = min(1.0, step / max(1, last - 1))
        self._temperature = self.start + (self.end - self.start) * share
        for variable in self._variables:
            variable.assign(self._temperature)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["temperature"] = self._temperature
