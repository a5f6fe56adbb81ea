"""Probabilities over all rows, of tasks that follow other tasks."""

from collections.abc import Mapping
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class EntireSpace(ConfiguredLayer):
    """Multiplies the probability of a task, given another, with that of the other.

    `p(buy) = p(click) p(buy | click)`: the loss of the product is over all rows, where that of
    the second factor alone would be over rows with a click, which are no sample of the rows that
    a server ranks.

    Args:
        after: dict from a task to the one that it follows.

    Call arguments:
        outputs: dict from task name to probabilities (batch, 1); a task after the one that it
            follows.

    Returns:
        A dict of the same names and shapes, the products in place of the conditional
        probabilities.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    towers = {"click": np.array([[0.5]]), "buy": np.array([[0.2]])}
    print(rk.layers.EntireSpace({"buy": "click"})(towers)["buy"])  # 0.1
    ```

    References:
        - Ma et al., "Entire Space Multi-Task Model", SIGIR 2018, arXiv 1804.07931, equation 3.
    """

    def __init__(self, after: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.after = dict(after)
        self.built = True

    def call(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, probability in outputs.items():
            first = self.after.get(name)
            result[name] = probability if first is None else result[first] * probability
        return result

    def compute_output_spec(self, outputs: Mapping[str, Any]) -> Any:
        # Named, so that loss and metrics of a task are found by it.
        return {
            name: keras.KerasTensor(x.shape, dtype=x.dtype, name=name)
            for name, x in outputs.items()
        }
