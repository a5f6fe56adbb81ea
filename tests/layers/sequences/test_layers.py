"""Layers over events against their equations, and what padding may not do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.layers import sequences as layers
from rankup_keras.layers.sequences.transformer_encoder import EncoderLayer
from tests.helpers.layer_test import randomize_weights, run_layer_test
from tests.helpers.several_inputs import of_a_list
from tests.reference import sequences as reference

BATCH, LENGTH, WIDTH = 3, 7, 8
PRESENT = (np.arange(LENGTH) < np.array([[7], [3], [0]])).astype("float32")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


EVENTS, QUERIES = normal(BATCH, LENGTH, WIDTH), normal(BATCH, 2, WIDTH, seed=1)
CANDIDATE, HEADS = normal(BATCH, 5, seed=2), normal(BATCH, 2, 4, seed=3)
GAPS = np.cumsum(np.random.default_rng(4).integers(1, 500, (BATCH, LENGTH)), 1).astype("float32")

EventAttention = of_a_list(layers.EventAttention)
HeadAttention = of_a_list(layers.HeadAttention)
DINAttention = of_a_list(layers.DINAttention)
EventEmbedding = of_a_list(layers.EventEmbedding)
Transformer = of_a_list(layers.TransformerEncoder, first_output=True)
Longer = of_a_list(layers.LongerEncoder, first_output=True)
HSTU = of_a_list(layers.HSTUEncoder, first_output=True)
Merged = of_a_list(layers.MergedEvents, first_output=True)

CASES = {
    "attention by events": (
        EventAttention,
        {"num_heads": 2, "units": 6, "order": "events"},
        [QUERIES, EVENTS, PRESENT],
        lambda x, w: reference.event_attention(*x, w, 2),
    ),
    "attention by queries": (
        EventAttention,
        {"num_heads": 2, "order": "queries"},
        [QUERIES, EVENTS, PRESENT],
        lambda x, w: reference.event_attention(*x, w, 2),
    ),
    "heads by events": (
        HeadAttention,
        {"order": "events"},
        [HEADS, EVENTS, PRESENT],
        lambda x, w: reference.head_attention(*x, w["key"], w["value"]),
    ),
    "heads by queries": (
        HeadAttention,
        {"num_slices": 2, "first_slice": 1, "order": "queries"},
        [HEADS[:, :1], EVENTS, PRESENT],
        lambda x, w: reference.head_attention(*x, w["key"], w["value"], first=1),
    ),
    "din": (
        DINAttention,
        {"units": (6,)},
        [EVENTS, PRESENT, CANDIDATE],
        lambda x, w: reference.din_attention(*x, w),
    ),
    "embedding": (
        EventEmbedding,
        {"units": 6},
        [[EVENTS, normal(BATCH, LENGTH, 3, seed=5)], PRESENT],
        lambda x, w: reference.event_embedding(*x, w),
    ),
    "merged": (
        Merged,
        {},
        [[EVENTS, EVENTS[:, :4]], [PRESENT, PRESENT[:, :4]]],
        lambda x, w: reference.merged(*x, w),
    ),
    "swiglu": (
        layers.EventSwiGLU,
        {"hidden": 5},
        EVENTS,
        reference.event_swiglu,
    ),
    "transformer": (
        Transformer,
        {"num_layers": 2, "num_heads": 2, "causal": True},
        [EVENTS, PRESENT],
        lambda x, w: reference.transformer(*x, w, 2, 2, True),
    ),
    "longer": (
        Longer,
        {"recent": 2, "merge": 3, "num_heads": 2},
        [EVENTS, PRESENT],
        lambda x, w: reference.longer(*x, w, 2, 3, 2, 2),
    ),
    "hstu": (
        HSTU,
        {"num_layers": 2, "num_heads": 2, "time_buckets": 9},
        [EVENTS, PRESENT, GAPS],
        lambda x, w: reference.hstu(*x, w, 2, 2, 9),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_equation(name):
    layer, arguments, inputs, equation = CASES[name]
    untrained = {"hstu": ()}.get(name, ())
    run_layer_test(
        layer, arguments, inputs=inputs, reference=equation, atol=2e-5, untrained=untrained
    )


@pytest.mark.parametrize("name", [name for name in CASES if name != "swiglu"])
def test_what_stands_at_padding_changes_nothing(name):
    layer, arguments, inputs, _ = CASES[name]
    layer = layer(**arguments)
    before = np.asarray(layer(inputs))
    randomize_weights(layer)
    before = np.asarray(layer(inputs))
    wild = keras.tree.map_structure(
        lambda x: (
            np.where(PRESENT[..., None] > 0, x, np.nan).astype("float32")
            if x.ndim == 3 and x.shape[1] == LENGTH
            else x
        ),
        inputs,
    )
    after = np.asarray(layer(wild))
    np.testing.assert_array_equal(after, before)
    assert np.isfinite(before).all()


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("swiglu", "merged")])
def test_padding_left_out_changes_nothing(name):
    layer, arguments, inputs, _ = CASES[name]
    layer = layer(**arguments)
    layer(inputs)  # built for LENGTH events
    randomize_weights(layer)
    few = np.minimum(PRESENT, np.arange(LENGTH) < 4).astype("float32")

    def cut(x, to):
        own = few if x is PRESENT else x
        return own[:, :to] if x.shape[1] == LENGTH else x

    whole, part = (
        keras.tree.map_structure(lambda x, to=to: cut(x, to), inputs) for to in (LENGTH, 4)
    )
    unknown = keras.tree.map_structure(
        lambda x: tf.TensorSpec([None, None if x.shape[1] == 4 else x.shape[1], *x.shape[2:]]), part
    )
    compiled = tf.function(layer, input_signature=[unknown])
    want, found = np.asarray(layer(whole)), np.asarray(compiled(part))
    np.testing.assert_allclose(found, want[:, : found.shape[1]], atol=1e-5)


def test_trimming():
    mask = np.arange(30) < np.array([[9], [2], [0]])
    trim = layers.TrimPadding()
    kept, events = trim([mask, np.ones((3, 30, 2))], mask)
    assert [x.shape for x in (kept, events)] == [(3, 12), (3, 12, 2)]
    assert trim([mask[:, ::-1]], mask[:, ::-1])[0].shape == (3, 30)
    assert layers.TrimPadding(smallest=3)([mask], 0 * mask)[0].shape == (3, 3)
    (spec,) = trim([keras.KerasTensor((None, 30, 2))], keras.KerasTensor((None, 30)))
    assert spec.shape == (None, 30, 2)
    with pytest.raises(ValueError, match="`smallest` must be positive"):
        layers.TrimPadding(smallest=0)


def test_values_of_zero_give_events_no_say():
    layer = layers.HeadAttention()
    layer(HEADS, EVENTS, PRESENT)
    layer.value.assign(0 * layer.value)
    assert not np.asarray(layer(HEADS, EVENTS, PRESENT)).any()


@pytest.mark.parametrize(
    ("kind", "queries"), [(layers.EventAttention, QUERIES), (layers.HeadAttention, HEADS)]
)
@pytest.mark.parametrize("order", ["auto", "events", "queries"])
def test_one_users_events_for_all_rows(kind, queries, order):
    layer = kind(order=order)
    repeated = [np.repeat(x[:1], BATCH, 0) for x in (EVENTS, PRESENT)]
    want = layer(queries, *repeated)
    np.testing.assert_allclose(layer(queries, EVENTS[:1], PRESENT[:1]), want, atol=1e-6)


def test_encoder_layers_keep_their_config():
    layer = EncoderLayer(num_heads=2, expansion=1.5)
    assert EncoderLayer.from_config(layer.get_config()).expansion == 1.5


@pytest.mark.parametrize("layer", [layers.EventAttention, layers.HeadAttention])
def test_an_unknown_order(layer):
    with pytest.raises(ValueError, match="`order` must be one of"):
        layer(order="x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: layers.HeadAttention()(HEADS, EVENTS[..., :6], PRESENT),
            "Events must be 2 slices",
        ),
        (lambda: layers.LongerEncoder(recent=0), "`recent` and `merge` must be positive"),
        (lambda: layers.EventEmbedding(0), "`units` must be positive"),
        (lambda: layers.EventSwiGLU(0), "`hidden` must be positive"),
        (lambda: layers.EventAttention(3)(QUERIES, EVENTS, PRESENT), "`num_heads` must divide"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
