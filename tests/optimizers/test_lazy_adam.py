"""`LazyAdam` against its equation."""

import numpy as np
import pytest

from rankup_keras import optimizers
from tests.optimizers import one_table


def test_lazy_adam_is_its_equation():
    table, _ = one_table.train(optimizers.LazyAdam(0.01))
    w = one_table.initial_table().astype(float)
    m, v = np.zeros((one_table.ROWS, one_table.WIDTH)), np.zeros((one_table.ROWS, one_table.WIDTH))
    for t, (ids, values) in enumerate(one_table.batches(), start=1):
        rows, g = one_table.summed(ids, values)
        m[rows] += 0.1 * (g[rows] - m[rows])
        v[rows] += 0.001 * (g[rows] ** 2 - v[rows])
        rate = 0.01 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        w[rows] -= rate * m[rows] / (np.sqrt(v[rows]) + 1e-7)
    np.testing.assert_allclose(table, w, atol=1e-5)


def test_lazy_amsgrad_is_refused():
    with pytest.raises(ValueError, match="amsgrad"):
        one_table.train(optimizers.LazyAdam(amsgrad=True))
