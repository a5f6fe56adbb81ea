"""One embedding table where it lies."""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class TableView:
    """Rows of one table inside a variable.

    Attributes:
        variable: Keras variable `(all rows, all columns)`.
        offset: First row of the table.
        rows: Number of its rows.
        dim: Width of a row.
        start: First column of the table. Defaults to 0.

    Example:

    ```python
    view = model.embedding.table_views()["shared/item_id"]
    view.read(np.arange(10)).shape  # (10, 16)
    ```
    """

    variable: Any
    offset: int
    rows: int
    dim: int
    start: int = 0

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The rows at `indices` (int, shape `(n,)`) of the table, `(n, dim)`.

        Raises:
            IndexError: for an index outside `[0, rows)`, which would read another table.
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
