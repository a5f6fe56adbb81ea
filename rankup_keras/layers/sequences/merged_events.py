"""Several sequences as one."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.sequences import attend


@serializable
class MergedEvents(ConfiguredLayer):
    """Events of several sequences behind each other, each with a vector of its sequence.

    `s_t + type_j` for event t of sequence j.

    Args:
        type_initializer: of the vectors of sequences. Defaults to `"uniform"`.

    Call arguments:
        sequences: list of J float tensors (batch, L_j, W).
        present: list of their masks (batch, L_j), 0 or `False` at padding.

    Returns:
        Events (batch, sum of L_j, W), zeros at padding, and their mask.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    clicks, buys = np.ones((2, 50, 16), "float32"), np.ones((2, 9, 16), "float32")
    events, mask = rk.layers.MergedEvents()([clicks, buys], [np.ones((2, 50)), np.ones((2, 9))])
    print(events.shape)         # (2, 59, 16)
    ```

    References:
        - MixFormer, arXiv 2602.14110, says nothing of several sequences; type
          embeddings as in OneTrans, arXiv 2510.26104.
    """

    def __init__(self, type_initializer: Any = "uniform", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.type_initializer = keras.initializers.get(type_initializer)

    def build(self, sequences_shape: Sequence[Any], present_shape: Any = None) -> None:
        shape = (len(sequences_shape), 1, sequences_shape[0][-1])
        initializer = self.type_initializer
        self.type = self.add_weight(name="type", shape=shape, initializer=initializer)
        self.built = True

    def call(self, sequences: Sequence[Any], present: Sequence[Any]) -> Any:
        typed = [
            attend.without_padding(x + ops.cast(self.type[j], x.dtype), mask)
            for j, (x, mask) in enumerate(zip(sequences, present, strict=True))
        ]
        return ops.concatenate(typed, axis=1), ops.concatenate(present, axis=1)

    def compute_output_spec(self, sequences: Sequence[Any], present: Sequence[Any]) -> Any:
        first, length = sequences[0].shape, sum(x.shape[1] for x in sequences)
        return (
            keras.KerasTensor((first[0], length, first[2]), self.compute_dtype),
            keras.KerasTensor((first[0], length), present[0].dtype),
        )
