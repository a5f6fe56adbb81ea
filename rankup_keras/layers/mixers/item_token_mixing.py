"""The candidates' rows of token mixing."""

from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.divisibility import must_divide


@serializable
class ItemTokenMixing(ConfiguredLayer):
    """The candidates' rows of a `TokenMixing` of all tokens, the user's first.

    With U tokens of the user and G of the candidate, output token h of these is
    the concatenation of head U + h of all U + G tokens. `UserTokenMixing` makes
    the user's rows, without the candidate.

    Call arguments:
        item: float tensor (batch, G, D).
        user: float tensor (batch, U, D).

    Returns:
        Tensor (batch, G, D).

    Raises:
        ValueError: U + G does not divide D.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    item, user = np.ones((1, 3, 4)), np.zeros((1, 1, 4))
    print(rk.layers.ItemTokenMixing()(item, user))      # 0 1 1 1 three times
    ```

    References:
        - UI-MixFormer: MixFormer, arXiv 2602.14110, user-item decoupling.
    """

    def build(self, item_shape: Any, user_shape: Any) -> None:
        must_divide("tokens", item_shape[1] + user_shape[1], item_shape[2])
        self.built = True

    def call(self, item: Any, user: Any) -> Any:
        users, width = user.shape[1], item.shape[2]
        tokens = users + item.shape[1]
        head = width // tokens
        parts = []
        for x in (user, item):
            x = ops.reshape(x[:, :, users * head :], (-1, x.shape[1], tokens - users, head))
            parts.append(ops.transpose(x, (0, 2, 1, 3)))
        return ops.reshape(ops.concatenate(parts, axis=2), (-1, tokens - users, width))

    def compute_output_shape(self, item_shape: Any, user_shape: Any) -> tuple[int | None, ...]:
        return tuple(item_shape)
