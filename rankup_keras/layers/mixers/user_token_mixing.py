"""Token mixing in which users' tokens never see the candidate."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.divisibility import must_divide


@serializable
class UserTokenMixing(ConfiguredLayer):
    """The users' rows of a masked `TokenMixing`: what they would read of candidates is zero.

    Of T tokens the first U are the user's. Output token h of them is the
    concatenation of head h of the user's tokens alone, and zeros in place of the
    candidate's: entry j of row i is zeroed if `i < U` and `j >= U D / T`. So no
    user's token depends on the candidate, however many blocks there are.

    Args:
        num_tokens: int. T, those of user and candidate together, which must
            divide their width D.

    Call arguments:
        user: float tensor (batch, U, D).

    Returns:
        Tensor (batch, U, D).

    Raises:
        ValueError: T does not divide D, or there are more than T tokens.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    user = np.arange(8.0).reshape(1, 2, 4)      # 2 tokens of 4, of width 4
    print(rk.layers.UserTokenMixing(4)(user))   # 0 4 0 0, and 1 5 0 0
    ```

    References:
        - UI-MixFormer: MixFormer, arXiv 2602.14110, user-item decoupling; UG-Sep,
          the same for RankMixer.
    """

    def __init__(self, num_tokens: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_tokens = num_tokens

    def build(self, input_shape: Sequence[int | None]) -> None:
        must_divide("num_tokens", self.num_tokens, int(input_shape[2] or 0))
        if int(input_shape[1] or 0) > self.num_tokens:
            raise ValueError(
                f"`num_tokens` counts the user's tokens too, of which there are {input_shape[1]}. "
                f"Received: num_tokens={self.num_tokens}."
            )
        self.built = True

    def call(self, user: Any) -> Any:
        _, own, width = user.shape
        head = width // self.num_tokens
        x = ops.reshape(user[:, :, : own * head], (-1, own, own, head))
        x = ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, own, own * head))
        return ops.pad(x, [[0, 0], [0, 0], [0, width - own * head]])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
