import keras
import numpy as np
import pytest
from keras import layers

from rankup_keras.diagnostics.taps import CallableTaps, Taps
from tests.diagnostics.networks import (
    TOKENS,
    WIDTH,
    column_rows,
    rows,
    token_network,
    transformer,
)

NAMES = ["tokens", "block_1_mixer", "block_1_ffn", "block_2_mixer", "block_2_ffn"]


def test_own_names_are_tapped_in_order():
    taps = Taps(token_network())
    assert taps.names == NAMES
    x, _ = column_rows()
    found = taps(x)
    assert {name: a.shape for name, a in found.items()} == dict.fromkeys(NAMES, (64, TOKENS, WIDTH))


def test_values_are_the_layers_outputs():
    model = token_network()
    x, _ = column_rows(5)
    expected = model.get_layer("tokens")(model.get_layer("item")(x["ids"]))
    np.testing.assert_allclose(Taps(model)(x)["tokens"], expected, rtol=1e-6)


def test_values_follow_the_weights():
    model = token_network()
    taps, (x, _) = Taps(model), column_rows(5)
    before = taps(x)["block_2_ffn"]
    dense = model.get_layer("tokens")
    dense.set_weights([2.0 * w for w in dense.get_weights()])
    assert not np.allclose(taps(x)["block_2_ffn"], before)


def test_a_foreign_model_gives_every_layer_of_rank_3_but_not_dropout():
    model = transformer()
    taps = Taps(model)
    assert taps.names == [
        "words", "attention", "add_1", "norm_1", "hidden", "out", "add_2", "norm_2",
    ]  # fmt: skip
    assert taps(rows(7, 6)[0])["hidden"].shape == (7, 6, 32)


def test_layers_that_a_residual_path_leads_around_are_branches():
    assert Taps(transformer()).branches == {"attention", "hidden", "out"}
    assert Taps(token_network()).branches == set()


def test_layers_can_be_named():
    taps = Taps(transformer(), layers=["norm_2", "norm_1"])
    assert taps.names == ["norm_2", "norm_1"]


def test_a_layer_called_twice_is_read_at_its_last_call():
    x = keras.Input((3, 4))
    shared = layers.Dense(4, name="shared")
    model = keras.Model(x, layers.Flatten()(shared(shared(x))))
    # Calls in other graphs do not count.
    model(keras.Input((3, 4)))
    shared(keras.Input((7, 4)))
    value = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    np.testing.assert_allclose(
        Taps(model)(value)["shared"], shared(shared(value)), rtol=1e-5, atol=1e-6
    )


def test_sequential_models():
    model = keras.Sequential([keras.Input((5, 4)), layers.Dense(6, name="first")])
    assert Taps(model).names == ["first"]
    with pytest.raises(ValueError, match="no input shape yet"):
        Taps(keras.Sequential([layers.Dense(6)]))


def test_dropout_is_off():
    x = keras.Input((5, 4))
    model = keras.Model(x, layers.Dense(4, name="after")(layers.Dropout(0.5)(x)))
    taps, value = Taps(model), np.ones((3, 5, 4), "float32")
    np.testing.assert_array_equal(taps(value)["after"], taps(value)["after"])


def test_extra_columns_are_ignored_and_missing_ones_named():
    taps, (x, _) = Taps(token_network()), column_rows(4)
    assert taps({**x, "other": np.zeros(4)})["tokens"].shape == (4, TOKENS, WIDTH)
    with pytest.raises(ValueError, match=r"inputs \['ids'\]"):
        taps({"other": np.zeros(4)})


def test_subclassed_models_are_told_what_to_pass():
    class Ranker(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"'Ranker' is a subclassed model.*model=.*activations="):
        Taps(Ranker())
    called = Ranker()
    called(keras.Input((3, 4)))
    with pytest.raises(ValueError, match="subclassed"):
        Taps(called)


def test_wrong_layers_are_named_with_those_that_would_work():
    with pytest.raises(ValueError, match=r"\['norm_3'\].*'norm_2'"):
        Taps(transformer(), ["norm_1", "norm_3"])
    with pytest.raises(ValueError, match=r"\['flat'\].*'norm_2'"):
        Taps(transformer(), ["flat"])
    x = keras.Input((4,))
    with pytest.raises(ValueError, match="no layer with a floating output"):
        Taps(keras.Model(x, layers.Dense(2)(x)))


def test_reinitialized_draws_new_weights_but_keeps_frozen_and_adapted_layers():
    x = keras.Input((5, 4))
    normalization = layers.Normalization(name="normal")
    data = np.random.default_rng(0).normal(3.0, 2.0, size=(50, 5, 4)).astype("float32")
    normalization.adapt(data)
    frozen = layers.Dense(4, trainable=False, name="frozen")
    y = layers.Dense(4, name="free")(frozen(normalization(x)))
    taps = Taps(keras.Model(x, y))
    old, new = taps(data), taps.reinitialized()(data)
    np.testing.assert_allclose(new["normal"], old["normal"])
    np.testing.assert_allclose(new["frozen"], old["frozen"])
    assert not np.allclose(new["free"], old["free"])


def test_callable_taps():
    taps = CallableTaps(lambda x: {"a": x, "b": 2 * x})
    assert taps(np.ones((2, 3, 4)))["b"].max() == 2.0
    assert taps.names == ["a", "b"]
    with pytest.raises(ValueError, match=r"Received for 'a': shape \(2, 3\)"):
        CallableTaps(lambda x: {"a": x})(np.ones((2, 3)))
    with pytest.raises(ValueError, match="Received: ndarray"):
        CallableTaps(lambda x: x)(np.ones((2, 3, 4)))
