"""UniMixer's learned token mixing, and its Lite form."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class UniMixing(ConfiguredLayer):
    """Token mixing whose permutation is learned, as doubly stochastic matrices.

    All T D entries are cut into n = T D / b blocks `x_i` of width b:

    `h_i = x_i B_i`, `Y = G [h_1; ...; h_n]`

    with `B_i` (b, b) and `G` (n, n), each `Sinkhorn(exp((W + W') / 2 / tau))` of
    free `W`, `W'` its transpose: `iterations` times the rows are made to sum to
    1, then the columns. Small temperatures `tau` make them nearly permutations;
    training starts at 1 and ends at 0.05, see `callbacks.TemperatureSchedule`.
    With `bases` and `rank` it is UniMixing-Lite:
    `W` of `B_i` is `sum_l c_il Z_l` over m shared bases, `W` of `G` is a product
    `U V` through r. `TokenMixing` is the case of `B_i = I`, b = D / T and `G` a
    permutation. An exported model holds the finished matrices.

    Open in the paper: b, the number of steps, the initial values (here `W` has
    entries of variance 1), and whether Lite is exponential and symmetric too
    (here it is).

    Args:
        block: int or `None`. b. `None` (default) for D / T.
        bases: int or `None`. m. `None` (default) for free `W` of every block.
        rank: int or `None`. r. `None` (default) for a free `W`.
        iterations: int. Sinkhorn steps, in float32. Defaults to 5.
        symmetric: bool. Whether `W` is replaced by `(W + W') / 2`. Defaults to `True`.
        temperature: float. First `tau`; then a variable that is saved with the
            weights. Defaults to 1.
        kernel_regularizer: regularizer of the free matrices. Defaults to none.

    Call arguments:
        x: float tensor (batch, T, D).

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: b does not divide T D, or an argument out of its range.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    lite = rk.layers.UniMixing(bases=2, rank=8)
    print(rk.layers.Residual(lite)(tokens).shape)       # (2, 4, 16)
    blocks, whole = lite.matrices()
    print(np.sum(whole, axis=0))                        # all 1
    ```

    References:
        - UniMixer, arXiv 2604.00590, UniMixing and UniMixing-Lite.
    """

    def __init__(
        self,
        block: int | None = None,
        bases: int | None = None,
        rank: int | None = None,
        iterations: int = 5,
        symmetric: bool = True,
        temperature: float = 1.0,
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sizes = {"block": block, "bases": bases, "rank": rank, "iterations": iterations}
        for argument, value in sizes.items():
            if value is not None and value < 1:
                raise ValueError(f"`{argument}` must be positive. Received: {argument}={value}.")
        if not temperature > 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={temperature}."
            )
        self.block = block
        self.bases = bases
        self.rank = rank
        self.iterations = iterations
        self.symmetric = symmetric
        self.temperature = temperature
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._finished: Any = None

    def _free(self, name: str, shape: tuple[int, ...], variance: float = 1.0) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=keras.initializers.RandomNormal(stddev=variance**0.5),
            regularizer=self.kernel_regularizer,
            # Sinkhorn steps are in float32 whatever the policy.
            autocast=False,
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        tokens, width = int(input_shape[1] or 0), int(input_shape[2] or 0)
        if self.block is None and width % tokens:
            raise ValueError(
                "`block` must be given where the number of tokens does not divide their width. "
                f"Received: block=None, {tokens} tokens of width {width}."
            )
        size = self.block or width // tokens
        if tokens * width % size:
            raise ValueError(
                "`block` must divide the number of all entries. Received: "
                f"block={size}, {tokens} tokens of width {width}, together {tokens * width}."
            )
        count = tokens * width // size
        if self.bases is None:
            self.blocks = self._free("blocks", (count, size, size))
        else:
            self.basis = self._free("basis", (self.bases, size * size))
            self.shares = self._free("shares", (count, self.bases), 1 / self.bases)
        if self.rank is None:
            self.whole = self._free("whole", (count, count))
        else:
            variance = self.rank**-0.5
            self.whole_in = self._free("whole_in", (count, self.rank), variance)
            self.whole_out = self._free("whole_out", (self.rank, count), variance)
        self.tau = self.add_weight(
            name="tau",
            shape=(),
            initializer=keras.initializers.Constant(self.temperature),
            trainable=False,
            autocast=False,
        )
        self.sizes = (count, size)
        self.built = True

    def matrices(self) -> tuple[Any, Any]:
        """`B` (n, b, b) and `G` (n, n) in float32, at the present temperature."""
        if self._finished is not None:
            return self._finished()
        count, size = self.sizes
        if self.bases is None:
            blocks = ops.convert_to_tensor(self.blocks)
        else:
            blocks = ops.reshape(ops.matmul(self.shares, self.basis), (count, size, size))
        if self.rank is None:
            whole = ops.convert_to_tensor(self.whole)
        else:
            whole = ops.matmul(self.whole_in, self.whole_out)
        return self._doubly_stochastic(blocks), self._doubly_stochastic(whole)

    @contextlib.contextmanager
    def finished_as(self, matrices: tuple[Any, Any]) -> Iterator[None]:
        """Within it, `matrices` are these: an exported graph holds them, and not their making."""
        # Hidden from Keras in a function, since they are no weights.
        self._finished = lambda: matrices
        try:
            yield
        finally:
            self._finished = None

    def _doubly_stochastic(self, w: Any) -> Any:
        axes = (*range(len(w.shape) - 2), len(w.shape) - 1, len(w.shape) - 2)
        if self.symmetric:
            w = (w + ops.transpose(w, axes)) / 2
        # In logarithms: at a low temperature a whole row's exponentials may be 0.
        w = w / self.tau
        for _ in range(self.iterations):
            for axis in (-1, -2):
                w = w - ops.logsumexp(w, axis=axis, keepdims=True)
        return ops.exp(w)

    def call(self, x: Any) -> Any:
        tokens, width = x.shape[1], x.shape[2]
        count, size = self.sizes
        blocks, whole = (ops.cast(matrix, x.dtype) for matrix in self.matrices())
        # Blocks first: both products are then plain ones over all rows.
        x = ops.transpose(ops.reshape(x, (-1, count, size)), (1, 0, 2))
        h = ops.reshape(ops.matmul(x, blocks), (count, -1))
        y = ops.reshape(ops.matmul(whole, h), (count, -1, size))
        return ops.reshape(ops.transpose(y, (1, 0, 2)), (-1, tokens, width))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
