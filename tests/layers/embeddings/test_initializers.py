"""Initial rows, piece by piece."""

import keras
import numpy as np

from rankup_keras.layers.embeddings import initializers


def test_initial_rows_differ_between_pieces_tables_and_sets():
    pieces = initializers.in_pieces(
        keras.initializers.RandomUniform(-0.1, 0.1, seed=3), elements=40
    )
    table = np.asarray(pieces((100, 4)))
    assert len(np.unique(table, axis=0)) == 100
    assert np.abs(table).max() <= 0.1
    np.testing.assert_array_equal(np.asarray(pieces((100, 4))), table)
