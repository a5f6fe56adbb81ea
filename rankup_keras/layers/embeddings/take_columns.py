"""Columns of a packed tensor, and whose they are."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class TakeColumns(ConfiguredLayer):
    """Some columns of (batch, width), side by side.

    It also says which features they belong to: when one user's candidates are
    ranked, what is computed of the user's features alone is computed once.

    Args:
        columns: list of pairs, first column and the one behind the last.
        of: names of the features that they belong to.

    Call arguments:
        x: tensor (batch, width).

    Returns:
        Tensor (batch, columns).

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    take = rk.layers.TakeColumns([(0, 2), (4, 6)], of=["price", "age"])
    print(take(np.arange(6.0)[None]))       # 0 1 4 5
    ```
    """

    def __init__(
        self,
        columns: Sequence[Sequence[int]],
        of: Sequence[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.columns = [list(pair) for pair in columns]
        self.of = list(of)

    def call(self, x: Any) -> Any:
        parts = [x[:, start:end] for start, end in self.columns]
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], sum(end - start for start, end in self.columns))
