"""The channels of a sequence of events in a packed tensor, and whose they are."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.kernels.program import on_host
from rankup_keras.layers.embeddings.take_columns import TakeColumns


@serializable
class TakeChannels(TakeColumns):
    """Columns of (batch, width), a model's input, as channels (batch, length, depth).

        `y[b, l, c] = x[b, start + l · depth + c]`

    Args:
        columns: list of one pair, first column and the one behind the last.
        of: name of the sequence that they belong to, in a list.
        depth: int. Channels of an event.

    Call arguments:
        x: tensor (batch, width).

    Returns:
        Tensor (batch, length, depth).

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    take = rk.layers.TakeChannels([(2, 6)], of=["clicks"], depth=2)
    print(take(np.arange(8.0)[None]))       # 2 3, 4 5
    ```
    """

    def __init__(
        self, columns: Sequence[Sequence[int]], of: Sequence[str], depth: int, **kwargs: Any
    ) -> None:
        super().__init__(columns, of, autocast=False, **kwargs)
        self.depth = depth

    def call(self, x: Any) -> Any:
        # Where inputs lie: from it the host reads how long lists are, and would wait for a GPU.
        with on_host():
            taken = ops.cast(super().call(x), self.compute_dtype)
            return ops.reshape(taken, self._shape(-1))

    def _shape(self, batch: int | None) -> tuple[int | None, int, int]:
        ((start, end),) = self.columns
        return (batch, (end - start) // self.depth, self.depth)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return self._shape(input_shape[0])
