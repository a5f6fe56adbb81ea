"""Every form of a kernel gives what its reference gives, forward and backward."""

import collections
import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from rankup_keras import kernels
from rankup_keras.kernels import reference
from rankup_keras.kernels.layout import batch_first, tokens_first
from rankup_keras.kernels.program import for_tpu, made_for
from rankup_keras.layers.mixers import MixerBlock, PerTokenFFN, PerTokenGLU, PerTokenSwiGLU
from rankup_keras.layers.mixers.layer_norm import LayerNorm
from tests.helpers.layer_test import random_inputs, randomize_weights

ROWS, TOKENS, WIDTH, EXPERTS = 256, 4, 8, 3
FORMS = [(name, key) for name, forms in kernels.FORMS.items() for key in forms]


def same(x):
    return x


def ffn(form, x, weights, gated, activation, biases):
    up, down = weights["gated" if gated else "up"], weights["down"]
    if not biases:
        up, down = (up[0], None), (down[0], None)
    return form(x, up, down, activation, gated, same)


def residual(form, x, weights, placement):
    layer, norm = weights["layer"], weights["norm"]
    before, after = (norm, None) if placement == "pre" else (None, norm)
    return form(x, layer, before, after, keras.layers.Dropout(0.0))


def experts(form, x, weights, threshold):
    gates = tf.nn.relu(x[..., :EXPERTS] - threshold)
    return form(x, gates, weights["up"], weights["experts"], keras.activations.gelu, False)


def gated_experts(form, x, weights, threshold):
    gates = tf.nn.relu(x[..., :EXPERTS] - threshold)
    up, down = (weights["gated"][0], None), (weights["experts"][0], None)
    return form(x, gates, up, down, keras.activations.silu, True)


CASES = {
    "per_token_ffn": [
        lambda form, x, w: ffn(form, x, w, False, keras.activations.gelu, True),
        lambda form, x, w: ffn(form, x, w, False, keras.activations.relu, False),
        lambda form, x, w: ffn(form, x, w, True, keras.activations.silu, True),
        # A user's activation is left as it is.
        lambda form, x, w: ffn(form, x, w, True, lambda x: tf.sin(x), False),
    ],
    "layer_norm": [
        lambda form, x, w: form(x, *w["affine"], 1e-6),
        lambda form, x, w: form(x, None, w["affine"][1], 1e-6),
        # As it lies between two per-token networks.
        lambda form, x, w: form(
            tf.transpose(tf.transpose(x, (1, 0, 2)), (1, 0, 2)), *w["affine"], 0.1
        ),
    ],
    "residual": [
        lambda form, x, w: residual(form, x, w, "pre"),
        lambda form, x, w: residual(form, x, w, "post"),
        lambda form, x, w: residual(form, x, {**w, "norm": None}, "pre"),
    ],
    "mean_of_tokens": [
        lambda form, x, w: form(x),
        lambda form, x, w: form(batch_first(tokens_first(x))),
    ],
    "sparse_per_token_moe": [
        lambda form, x, w: experts(form, x, w, 0.0),
        # Few rows for each expert.
        lambda form, x, w: experts(form, x, w, 1.0),
        lambda form, x, w: gated_experts(form, x, w, 1.0),
    ],
}


def make_weights(dtype="float32"):
    def tensor(*shape):
        return tf.Variable(tf.cast(random_inputs(shape, seed=sum(shape)), dtype))

    hidden = 2 * EXPERTS
    layer, norm = PerTokenFFN(dtype=dtype), LayerNorm(dtype=dtype)
    for part in (layer, norm):
        part.build((None, TOKENS, WIDTH))
        randomize_weights(part)
    return {
        "up": (tensor(TOKENS, WIDTH, hidden), tensor(TOKENS, 1, hidden)),
        "gated": (tensor(TOKENS, WIDTH, 2 * hidden), tensor(TOKENS, 1, 2 * hidden)),
        "down": (tensor(TOKENS, hidden, WIDTH), tensor(TOKENS, 1, WIDTH)),
        "experts": (tensor(TOKENS, hidden, WIDTH), tensor(TOKENS, EXPERTS, WIDTH)),
        "affine": (tensor(WIDTH), tensor(WIDTH)),
        "layer": layer,
        "norm": norm,
    }


def step_of(case, form, weights):
    """Value and gradients of a form by its input and by all weights."""
    own = [v for v in tf.nest.flatten(weights) if isinstance(v, tf.Variable)]
    own += [v.value for part in ("layer", "norm") for v in weights[part].trainable_variables]

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(case(form, x, weights), tf.float32)
            loss = tf.reduce_sum(y * tf.sin(y))
        zero = tf.UnconnectedGradients.ZERO
        return [y, *tape.gradient(loss, [x, *own], unconnected_gradients=zero)]

    return step


@pytest.mark.parametrize(("name", "key"), FORMS, ids=[f"{name}, {key}" for name, key in FORMS])
def test_a_form_equals_its_reference(name, key):
    weights, x = make_weights(), tf.constant(random_inputs((ROWS, TOKENS, WIDTH)))
    plain = getattr(reference, name.removeprefix("sparse_"))
    compiled = key.split()[0] in ("xla", "xla-gpu", "tpu")
    for case in CASES[name]:
        expected = step_of(case, plain, weights)(x)
        step = tf.function(step_of(case, kernels.FORMS[name][key], weights), jit_compile=compiled)
        with for_tpu() if key.startswith("tpu") else contextlib.nullcontext():
            actual = step(x)
        for one, wanted in zip(actual, expected, strict=True):
            scale = 1e-5 * max(1.0, float(tf.reduce_max(tf.abs(wanted))))
            np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=scale)


@pytest.mark.parametrize("training", [False, True])
def test_taking_the_forms_away_changes_speed_alone(training, monkeypatch):
    block = MixerBlock(PerTokenSwiGLU(use_bias=True), placement="post")
    x = tf.constant(random_inputs((ROWS, TOKENS, WIDTH)))
    block(x)
    randomize_weights(block)
    by_forms = tf.function(lambda x: gradients(block, x, training))(x)
    for name in kernels.FORMS:
        monkeypatch.setitem(kernels.FORMS, name, {})
    by_reference = tf.function(lambda x: gradients(block, x, training))(x)
    for one, wanted in zip(by_forms, by_reference, strict=True):
        np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=2e-4)


def optimized_ops(function, x):
    """How often each op stands in what TensorFlow makes of a function's graph."""
    function(x)
    context.context().enable_graph_collection()  # there is no public way to see it
    try:
        tf.function(function.python_function, input_signature=function.input_signature)(x)
        graphs = context.context().export_run_metadata().function_graphs
    finally:
        context.context().disable_graph_collection()
    ops = [collections.Counter(n.op for n in g.post_optimization_graph.node) for g in graphs]
    return max(ops, key=lambda found: found.total())


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
@pytest.mark.parametrize(("training", "expected"), [(False, 1 + 4 + 1), (True, 2 * (1 + 4 + 1))])
def test_transposes_between_layers_cancel(training, expected, platform):
    """One at each end of a stack and one in each mixing; the gradient has as many."""
    blocks = [MixerBlock(PerTokenFFN(), placement="post") for _ in range(4)]
    for block in blocks:
        block.build((None, TOKENS, WIDTH))

    @tf.function(input_signature=[tf.TensorSpec((None, TOKENS, WIDTH))])
    def stack(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = kernels.concatenate_tokens([x])
            for block in blocks:
                y = block(y, training=training)
            loss = tf.reduce_sum(tf.square(y))
        return tape.gradient(loss, x) if training else y

    with made_for(platform):
        ops = optimized_ops(stack, tf.constant(random_inputs((6, TOKENS, WIDTH))))
    assert ops["Transpose"] == expected


def gradients(layer, x, training):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * tf.sin(tf.cast(y, tf.float32)))
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


NETWORKS = {
    "ffn": lambda: PerTokenFFN(),
    "relu without bias": lambda: PerTokenFFN(activation="relu", use_bias=False),
    "swiglu": lambda: PerTokenSwiGLU(),
    "swiglu with bias": lambda: PerTokenSwiGLU(use_bias=True),
    "glu": lambda: PerTokenGLU(),
    "block": lambda: MixerBlock(PerTokenFFN(), placement="post"),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("kind", NETWORKS)
def test_graphs_equal_eager_execution(kind, compiled):
    """Eagerly every op runs by itself; in a graph training and inference each have their form."""
    layer = NETWORKS[kind]()
    x = tf.constant(random_inputs((4, 4, 8)))
    layer(x)
    randomize_weights(layer)
    expected = gradients(layer, x, training=False)
    for training in (False, True):
        step = tf.function(
            lambda x, training=training: gradients(layer, x, training), jit_compile=compiled
        )
        for actual, wanted in zip(step(x), expected, strict=True):
            np.testing.assert_allclose(actual, wanted, atol=2e-4, rtol=1e-4)


def test_a_graph_has_a_variable_number_of_rows_and_none():
    layer = MixerBlock(PerTokenFFN(), placement="post")
    layer.build((None, 4, 8))
    spec = tf.TensorSpec((None, 4, 8))
    call = tf.function(lambda x: layer(x, training=False), input_signature=[spec])
    for rows in (1, 7, 0):
        x = random_inputs((rows, 4, 8))
        np.testing.assert_allclose(call(x), layer(x), atol=1e-5)


def test_no_xla_in_a_graph_for_inference():
    layer = MixerBlock(PerTokenSwiGLU())
    layer.build((None, 4, 8))
    concrete = tf.function(lambda x: layer(x, training=False)).get_concrete_function(
        tf.TensorSpec((None, 4, 8))
    )
    assert not concrete.graph.as_graph_def().library.function
    training = tf.function(lambda x: layer(x, training=True)).get_concrete_function(
        tf.TensorSpec((None, 4, 8))
    )
    functions = training.graph.as_graph_def().library.function
    assert any(f.attr["_XlaMustCompile"].b for f in functions)


def test_an_activation_with_weights_trains():
    layer = PerTokenFFN(activation=keras.layers.PReLU(alpha_initializer="ones"))
    x = tf.constant(random_inputs((2, 2, 4)))
    layer(x)
    step = tf.function(lambda: gradients(layer, x, training=True))
    assert all(gradient is not None for gradient in step())


def relative_error(actual, wanted):
    actual, wanted = (tf.cast(x, tf.float32).numpy() for x in (actual, wanted))
    return np.sqrt(np.mean(np.square(actual - wanted)) / np.mean(np.square(wanted)))


@pytest.mark.parametrize(("platform", "compiled"), [("cpu", False), ("gpu", False), ("gpu", True)])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("of_network", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", [PerTokenFFN, PerTokenSwiGLU, PerTokenGLU])
def test_graphs_in_bfloat16_equal_eager_execution(kind, of_network, training, platform, compiled):
    """Forward and backward, to the rounding of bfloat16."""
    network = kind(dtype=of_network)
    layer = MixerBlock(network, dtype="mixed_bfloat16", placement="post")
    x = tf.constant(random_inputs((64, 4, 8)), tf.bfloat16)
    layer(x)
    randomize_weights(layer)
    expected = gradients(layer, x, training=training)
    step = tf.function(lambda x: gradients(layer, x, training=training), jit_compile=compiled)
    with made_for(platform):
        found = step(x)
    for actual, wanted in zip(found, expected, strict=True):
        assert actual.dtype == wanted.dtype
        assert relative_error(actual, wanted) < 0.03


def test_what_a_subclass_computes_is_not_left_out():
    class Doubled(PerTokenFFN):
        def call(self, x, training=None):
            return 2 * super().call(x, training)

    layer = MixerBlock(Doubled(dtype="mixed_bfloat16"), dtype="mixed_bfloat16", norm=None)
    x = tf.constant(random_inputs((6, 4, 8)), tf.bfloat16)
    expected = layer(x)
    actual = tf.function(lambda x: layer(x, training=False))(x)
    assert relative_error(actual, expected) < 0.03


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_float64_keeps_its_digits(platform):
    layer = MixerBlock(PerTokenFFN(dtype="float64"), dtype="float64")
    x = tf.constant(random_inputs((4, 4, 8)), tf.float64)
    layer(x)
    randomize_weights(layer)
    expected = layer(x)
    for training in (False, True):
        step = tf.function(lambda x, training=training: layer(x, training=training))
        with made_for(platform):
            np.testing.assert_allclose(step(x), expected, atol=1e-12)
