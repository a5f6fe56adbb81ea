"""Sequences as long as the longest of a batch."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.kernels.trimming import trim_padding
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class TrimPadding(ConfiguredLayer):
    """Leaves out the padding that all rows of a batch have in common.

    What follows computes no event that is nobody's. Batches are cut to few
    lengths, the powers of 2 and the middles between, so that what is compiled for
    every shape, as XLA's programs are, is compiled a few times. Where XLA compiles
    the layer itself (TPUs), nothing is left out. Symbolic shapes have the full
    length.

    Args:
        smallest: int. The shortest length. Defaults to 8.

    Call arguments:
        tensors: list of tensors (batch, L, ...).
        present: (batch, L), or (batch, L, C) of which the first channel tells; 0 or `False` at
            padding, which is behind.

    Returns:
        The tensors (batch, n, ...), n <= L.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    events, mask = np.ones((2, 1000, 16)), np.arange(1000) < np.array([[70], [0]])
    events, mask = rk.layers.TrimPadding()([events, mask], mask)
    print(events.shape)         # (2, 96, 16)
    ```
    """

    # Its outputs go into what XLA compiles, as those of lookups do.
    before_xla = True

    def __init__(self, smallest: int = 8, **kwargs: Any) -> None:
        # A cast would take `present` to a GPU, and the host would wait for it.
        super().__init__(autocast=False, **kwargs)
        if smallest < 1:
            raise ValueError(f"`smallest` must be positive. Received: smallest={smallest}.")
        self.smallest = smallest

    def call(self, tensors: Sequence[Any], present: Any) -> list[Any]:
        return trim_padding(tensors, present, self.smallest)

    def compute_output_spec(self, tensors: Sequence[Any], present: Any) -> list[Any]:
        return [keras.KerasTensor(x.shape, x.dtype) for x in tensors]
