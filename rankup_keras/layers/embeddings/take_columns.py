"""Columns of a packed tensor, and whose they are."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.kernels.program import on_host
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class TakeColumns(ConfiguredLayer):
    """Some columns of (batch, width), side by side, or as rows of `depth`.

    It also says which features they belong to: when one user's candidates are
    ranked, what is computed of the user's features alone is computed once.

    Args:
        columns: list of pairs, first column and the one behind the last.
        of: names of the features that they belong to.
        depth: int or `None`. With a depth d the output is (batch, width / d, d).
        of_input: bool. Whether `x` is an input of a model, which is taken apart on the host, where
            it is. Defaults to `False`.

    Call arguments:
        x: tensor (batch, width).

    Returns:
        Tensor (batch, columns), or (batch, columns / depth, depth).

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
        depth: int | None = None,
        of_input: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=not of_input, **kwargs)
        self.columns = [list(pair) for pair in columns]
        self.of = list(of)
        self.depth = depth
        self.of_input = of_input

    def call(self, x: Any) -> Any:
        with on_host() if self.of_input else contextlib.nullcontext():
            return self._taken(x)

    def _taken(self, x: Any) -> Any:
        if self.of_input and keras.backend.is_float_dtype(x.dtype):
            x = ops.cast(x, self.compute_dtype)
        parts = [x[:, start:end] for start, end in self.columns]
        x = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)
        return (
            x
            if self.depth is None
            else ops.reshape(x, (-1, self._width() // self.depth, self.depth))
        )

    def _width(self) -> int:
        return sum(end - start for start, end in self.columns)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        width = self._width()
        if self.depth is None:
            return (input_shape[0], width)
        return (input_shape[0], width // self.depth, self.depth)
