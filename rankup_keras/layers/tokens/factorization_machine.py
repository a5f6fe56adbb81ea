"""A factorization machine's features."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class FactorizationMachine(ConfiguredLayer):
    """The sum of all fields' embeddings, and the sum of all pairs' products.

    `y = concat(sum_f e_f, sum_{f<g} e_f * e_g)`, the latter computed as
    `((sum_f e_f)^2 - sum_f e_f^2) / 2`. No parameters.

    Args:
        field_dims: list of ints, width of each field in the input; all equal.

    Call arguments:
        x: float tensor (batch, sum of `field_dims`).

    Returns:
        Tensor (batch, 2 * width of a field).

    Raises:
        ValueError: fields of several widths, which have no products.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    embeddings = np.random.normal(size=(2, 6 * 8)).astype("float32")
    print(rk.layers.FactorizationMachine([8] * 6)(embeddings).shape)    # (2, 16)
    ```

    References:
        - Factorization Machines, Rendle, ICDM 2010, equation 5.
        - RankUp, arXiv 2604.17878, global token (one of its functions).
    """

    def __init__(self, field_dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.field_dims = [int(dim) for dim in field_dims]
        if len(set(self.field_dims)) != 1:
            raise ValueError(
                "A factorization machine multiplies fields, which must all be equally wide. "
                f"Received: field_dims={self.field_dims}."
            )

    def call(self, x: Any) -> Any:
        fields = ops.reshape(x, (-1, len(self.field_dims), self.field_dims[0]))
        total = ops.sum(fields, axis=1)
        pairs = (ops.square(total) - ops.sum(ops.square(fields), axis=1)) / 2
        return ops.concatenate([total, pairs], axis=-1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], 2 * self.field_dims[0])
