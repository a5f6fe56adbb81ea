"""`RowWiseAdagrad` against its equation."""

import numpy as np

from rankup_keras import optimizers
from tests.optimizers import one_table


def test_row_wise_adagrad_is_its_equation():
    table, (accumulator,) = one_table.train(optimizers.RowWiseAdagrad(0.1))
    w = one_table.initial_table().astype(float)
    a = np.full(one_table.ROWS, 0.1)
    for ids, values in one_table.batches():
        rows, g = one_table.summed(ids, values)
        a[rows] += np.mean(g[rows] ** 2, axis=1)
        w[rows] -= 0.1 * g[rows] / np.sqrt(a[rows] + 1e-7)[:, None]
    np.testing.assert_allclose(table, w, atol=1e-5)
    np.testing.assert_allclose(accumulator, a, rtol=1e-5)
    assert accumulator.shape == (one_table.ROWS,)


def test_row_wise_adagrad_serves_dense_gradients():
    sparse, _ = one_table.train(optimizers.RowWiseAdagrad(0.1))
    dense, _ = one_table.train(optimizers.RowWiseAdagrad(0.1), as_dense=True)
    np.testing.assert_allclose(sparse, dense, atol=1e-6)
