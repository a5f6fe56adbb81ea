"""One embedding table where it lies."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.kernels.program import beside


@dataclasses.dataclass(frozen=True)
class TableView:
    """Rows of one table inside a variable.

    Attributes:
        variable: Keras variable (all rows, all columns).
        offset: first row of the table.
        rows: number of its rows.
        dim: width of a row.
        start: first column of the table. Defaults to 0.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk
    from rankup_keras.features import FieldSpec, TableSpec

    layer = rk.layers.FieldEmbedding([TableSpec("item", 100)], [FieldSpec("item", "item", 0)])
    layer.build()
    view = layer.table_views()["shared/item"]
    assert view.read(np.arange(10)).shape == (10, 16)
    ```
    """

    variable: Any
    offset: int
    rows: int
    dim: int
    start: int = 0

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The rows (n, dim) of the table at `indices`, integers (n,).

        Raises:
            IndexError: an index outside `[0, rows)`, which would read another table.
        """
        indices = np.asarray(indices, np.int64)
        if indices.size and not 0 <= indices.min() <= indices.max() < self.rows:
            raise IndexError(
                f"`indices` must lie in [0, {self.rows}), the rows of the table. "
                f"Received: {indices.min()} to {indices.max()}."
            )
        # Gathers from the variable itself: reading its value would copy the table.
        rows = tf.gather(self.variable.value, indices + self.offset).numpy()
        return rows[:, self.start : self.start + self.dim]

    def _slice(self) -> Any:
        rows = slice(self.offset, self.offset + self.rows)
        return self.variable.value[rows, self.start : self.start + self.dim]

    def to_numpy(self) -> np.ndarray:
        """A copy of the whole table (rows, dim)."""
        with beside(self.variable.value):
            return self._slice().numpy()

    def assign(self, table: np.ndarray) -> None:
        """Overwrites the whole table with (rows, dim)."""
        with beside(self.variable.value):
            self._slice().assign(table)
