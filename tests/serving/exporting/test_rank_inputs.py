import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.serving.exporting.rank_inputs import RankInputs
from tests.serving import stand_in


def tensors(rows):
    return {n: tf.constant(v.tolist() if v.dtype == object else v) for n, v in rows.items()}


def test_the_features_say_whose_a_column_is(model):
    inputs = RankInputs(model.features)
    assert inputs.user == ["user_id", "age", "city", "interests", "history", "user_vector"]
    assert inputs.candidate == ["item_id", "shop", "genres", "price", "item_vector"]
    assert RankInputs(model.features, ["price"]).user == ["price"]


def test_both_forms_of_a_request(model):
    inputs, rows = RankInputs(model.features), stand_in.make_rows(3)
    once, repeated = inputs.user_once(rows), inputs.user_repeated(rows)
    assert once["history"].shape == (1, 5)
    assert repeated["history"].shape == (3, 5)
    assert (repeated["history"] == rows["history"][0]).all()
    assert once["price"] is repeated["price"] is rows["price"]


def test_parts_that_are_encoded_alone_join_to_full_rows(model):
    inputs = RankInputs(model.features)
    once = tensors(inputs.user_once(stand_in.make_rows(4)))
    user = {name: once[name] for name in inputs.user}
    candidates = {name: once[name] for name in inputs.candidate}
    mine, theirs = inputs.encode(model.features, user, candidates)
    full = model.features.encode(inputs.user_repeated(stand_in.make_rows(4)))
    assert set(mine) == set(full)
    for name, value in full.items():
        joined = inputs.join(mine, theirs, 4, name)
        np.testing.assert_allclose(joined, value, rtol=1e-6)
        some = inputs.join(mine, theirs, 4, name, [(1, 3), (0, 1)])
        np.testing.assert_array_equal(some, joined.numpy()[:, [1, 2, 0]])
        # The user's columns take no room in what is encoded for every candidate.
        assert theirs[name].shape[1] < value.shape[1]


def test_columns_that_are_wrong(model):
    with pytest.raises(ValueError, match=r"among the columns .* Received: \['nobody'\]"):
        RankInputs(model.features, ["nobody"])
    with pytest.raises(ValueError, match="at least one column to the candidates"):
        RankInputs(model.features, list(stand_in.make_rows(1)))
