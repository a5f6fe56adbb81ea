"""Global, sequence, crossed and task tokens, numeric fields, and their assembly."""

import numpy as np
import pytest

from rankup_keras.layers.tokens import (
    CrossedTokens,
    GlobalToken,
    NumericEmbedding,
    SequencePooling,
    SequenceTokens,
    TaskTokens,
    TokenAssembly,
)
from tests.helpers.layer_test import random_inputs, randomize_weights, run_layer_test
from tests.helpers.layer_test import weights_by_name as weights_of

from tests.reference import mixers, tokens as reference  # isort: skip

IDS = np.array([[1, 2, 3], [4, 0, 0], [0, 0, 0], [0, 5, 0]], "int32")


@pytest.mark.parametrize("hidden", [(), (5, 3)])
def test_global_token(hidden):
    def equation(x, w):
        layers = [
            (kernel, w[name.replace("kernel", "bias")])
            for name, kernel in w.items()
            if name.endswith("kernel")
        ]
        return reference.mlp(x, layers, mixers.relu)[:, None]

    run_layer_test(
        GlobalToken,
        {"token_dim": 4, "hidden_units": list(hidden)},
        input_shape=(3, 6),
        expected_output_shape=(3, 1, 4),
        expected_num_trainable=2 * (1 + len(hidden)),
        reference=equation,
    )


def test_numeric_embedding():
    run_layer_test(
        NumericEmbedding,
        {"dim": 3, "initializer": "he_normal"},
        input_shape=(4, 5),
        expected_output_shape=(4, 15),
        expected_num_parameters=2 * 15,
        reference=lambda x, w: reference.numeric_embedding(x, w["vectors"], w["bias"]),
    )


@pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
def test_sequences(combiner):
    items = random_inputs({"a": (4, 3, 5), "b": (4, 3, 2)})
    pooling = SequencePooling(combiner)
    assert SequencePooling.from_config(pooling.get_config()).combiner == combiner
    expected = reference.pooled_sequence(items["a"], IDS, combiner)
    np.testing.assert_allclose(pooling(items["a"], IDS), expected, atol=1e-6)
    assert not expected[2].any()

    layer = SequenceTokens(6, combiner)
    pair = [items["a"], items["b"]], [IDS, IDS[::-1]]
    layer(*pair)
    randomize_weights(layer)
    w = weights_of(layer)
    expected = reference.sequence_tokens(
        *pair, [combiner] * 2, w["projection/kernel"], w["projection/bias"]
    )
    tokens = layer(*pair)
    assert tokens.shape == (4, 2, 6) == layer.compute_output_shape([(4, 3, 5), (4, 3, 2)])
    np.testing.assert_allclose(tokens, expected, atol=1e-5)
    # An empty history is its bias.
    np.testing.assert_allclose(tokens[2, 0], w["projection/bias"][0, 0], atol=1e-6)


def test_each_sequence_has_its_own_combiner():
    items, ids = [random_inputs((4, 3, 5))] * 2, [IDS, IDS]
    layer = SequenceTokens(6, ["sum", "mean"])
    layer(items, ids)
    randomize_weights(layer)
    w = weights_of(layer)
    expected = reference.sequence_tokens(
        items, ids, ["sum", "mean"], w["projection/kernel"], w["projection/bias"]
    )
    np.testing.assert_allclose(layer(items, ids), expected, atol=1e-5)
    assert SequenceTokens.from_config(layer.get_config()).combiner == ["sum", "mean"]
    layer = SequenceTokens(6, ["sum", "mean"])
    with pytest.raises(ValueError, match=r"must be one name, or one per sequence.*2 .*3"):
        layer([items[0]] * 3, [IDS] * 3)


def test_many_items_pool_in_half_precision():
    # Beyond 256 a bfloat16 counter no longer counts.
    layer = SequencePooling("mean", dtype="bfloat16")
    ids = np.ones((1, 1000), "int32")
    assert float(layer(np.ones((1, 1000, 1), "float32"), ids)[0, 0]) == pytest.approx(1.0, abs=0.01)


def test_crossed_tokens():
    rng = np.random.default_rng(0)
    left = [rng.normal(size=(5, 4)).astype("float32"), rng.normal(size=(5, 2)).astype("float32")]
    right = [rng.normal(size=x.shape).astype("float32") for x in left]
    left[0][1] = 0.0
    right[0][2] = 0.0
    left[1][1], right[1][1] = 0.0, 0.0
    # Orthogonal, and not missing: their product is zero.
    left[1][3], right[1][3] = [1.0, 0.0], [0.0, 1.0]
    layer = CrossedTokens(3)
    layer(left, right)
    randomize_weights(layer)
    w = weights_of(layer)
    parts = w["projection/kernel"], w["projection/bias"], w["missing_bias"]
    tokens = layer(left, right).numpy()
    np.testing.assert_allclose(tokens, reference.crossed_tokens(left, right, *parts), atol=1e-5)
    assert tokens.shape == (5, 2, 3) == layer.compute_output_shape([(5, 4), (5, 2)])
    bias, missing = w["projection/bias"][1, 0], w["missing_bias"][1]
    np.testing.assert_allclose(tokens[3, 1], bias, atol=1e-6)
    np.testing.assert_allclose(tokens[1, 1], bias + missing, atol=1e-6)
    again = CrossedTokens.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    with pytest.raises(ValueError, match="must be equally wide"):
        CrossedTokens(3)([left[0]], [left[1]])


@pytest.mark.parametrize("arguments", [{"num_tasks": 2, "initializer": "ones"}])
def test_task_tokens(arguments):
    run_layer_test(
        TaskTokens,
        arguments,
        input_shape=(3, 4, 5),
        expected_output_shape=(3, 4 + arguments["num_tasks"], 5),
        expected_num_parameters=5 * arguments["num_tasks"],
        reference=lambda x, w: reference.task_tokens(x, w["task_tokens"]),
    )
    with pytest.raises(ValueError, match="`num_tasks` must be positive"):
        TaskTokens(0)


@pytest.mark.parametrize("count", [1, 3])
def test_assembly(count):
    families = [random_inputs((2, t + 1, 4), seed=t) for t in range(count)]
    layer = TokenAssembly()
    expected = np.concatenate(families, axis=1)
    np.testing.assert_array_equal(layer(families), expected)
    assert layer.compute_output_shape([x.shape for x in families]) == expected.shape


def test_wrong_combiner():
    for layer in (SequencePooling, lambda combiner: SequenceTokens(4, combiner)):
        with pytest.raises(ValueError, match=r"`combiner` must be 'mean', 'sum' or 'sqrtn'.*'max'"):
            layer("max")
