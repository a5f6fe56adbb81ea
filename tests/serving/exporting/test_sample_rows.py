import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from rankup_keras.serving.exporting.sample_rows import count_rows, first_rows, missing_rows, take
from tests.serving import stand_in


def test_warm_up_rows_from_a_frame_and_a_dataset(model):
    rows = stand_in.make_rows(9)
    frame = pd.DataFrame({k: list(v) if v.ndim > 1 else v for k, v in rows.items()})
    frame["label"] = 1
    tensors = {k: tf.constant(v.tolist() if v.dtype == object else v) for k, v in rows.items()}
    dataset = tf.data.Dataset.from_tensor_slices((tensors, np.ones(9))).batch(4)
    spec = model.features.raw_spec()
    want = stand_in.predict(model, rows)["click"]
    for data in (frame, dataset, (rows, np.ones(9))):
        for limit, count in ((6, 6), (1000, 9)):
            got = first_rows(data, spec, limit)
            assert {len(v) for v in got.values()} == {count}
            assert {k: v.dtype for k, v in got.items()} == {k: v.dtype for k, v in rows.items()}
            np.testing.assert_allclose(
                stand_in.predict(model, got)["click"], want[:count], atol=1e-6
            )


def test_batches_whose_lists_differ_in_width(model):
    def batches():
        for width in (2, 7):
            yield stand_in.make_rows(3, seed=width, history=width)

    spec = {k: tf.TensorSpec(s.shape, s.dtype) for k, s in model.features.raw_spec().items()}
    dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
    got = first_rows(dataset, model.features.raw_spec(), 100)
    want = [stand_in.predict(model, rows)["buy"] for rows in batches()]
    np.testing.assert_allclose(stand_in.predict(model, got)["buy"], np.concatenate(want), atol=1e-6)


def test_rows_start_over_where_there_are_fewer():
    rows = {"a": np.arange(3), "b": np.array(["x", "y", "z"], object)}
    assert take(rows, 5)["a"].tolist() == [0, 1, 2, 0, 1]
    assert take(rows, 2)["b"].tolist() == ["x", "y"]
    assert count_rows(rows) == 3


def test_rows_without_values(model):
    spec = model.features.raw_spec()
    rows = missing_rows(spec, 2)
    assert {name: value.ndim for name, value in rows.items()} == {
        name: item.shape.rank for name, item in spec.items()
    }
    encoded = model.features.encode(rows)
    assert not np.any(encoded["encoded_vectors"])
    with pytest.raises(ValueError, match="at least one row"):
        first_rows(take(rows, 0), spec, 9)
