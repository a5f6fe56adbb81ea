"""How the hot functions of the layers are computed: one signature each, many forms, one table.

A layer calls a function of this package. What it means is `reference`'s form of it, in `keras.ops`.
`FORMS` says which other form computes it, by what the program in the making will run on and
whether it trains: taking an entry out of the table changes speed and nothing else.
"""

from collections.abc import Callable
from typing import Any

import keras

from rankup_keras.kernels import (
    cpu_inference,
    gpu_inference,
    reference,
    sparse_experts,
    tiles,
    training,
)
from rankup_keras.kernels.layout import batch_first, in_layout, tokens_first
from rankup_keras.kernels.program import program

Affine = reference.Affine

# Function → program, and "training" or "inference" → the form that computes it there.
FORMS: dict[str, dict[str, Callable[..., Any]]] = {
    "per_token_ffn": {
        "cpu training": training.per_token_ffn,
        "gpu training": training.per_token_ffn,
        "xla training": training.per_token_ffn,
        "xla-gpu training": training.per_token_ffn,
        "cpu inference": cpu_inference.per_token_ffn,
        # The hidden layer in float32, rounded once: by `erf`, and what training has seen.
        "xla-gpu inference": training.per_token_ffn,
    },
    "layer_norm": {
        "cpu training": training.cpu_layer_norm,
        "gpu training": training.layer_norm,
        "xla training": training.layer_norm,
        "xla-gpu training": training.layer_norm,
        "tpu training": training.layer_norm,
        "cpu inference": cpu_inference.layer_norm,
        "gpu inference": gpu_inference.layer_norm,
        "xla-gpu inference": gpu_inference.layer_norm,
    },
    "residual": {
        "cpu training": training.graph_residual,
        "gpu training": training.graph_residual,
        "xla-gpu training": training.gpu_residual,
        "tpu training": tiles.residual,
        "cpu inference": cpu_inference.residual,
    },
    "mean_of_tokens": {
        "cpu training": training.mean_of_tokens,
        "gpu training": training.mean_of_tokens,
        "xla training": training.mean_of_tokens,
        "xla-gpu training": training.mean_of_tokens,
        "tpu training": training.mean_of_tokens,
    },
    "sparse_per_token_moe": {
        "eager inference": sparse_experts.per_token_moe,
        "cpu inference": sparse_experts.per_token_moe,
        "gpu inference": sparse_experts.per_token_moe,
        "cpu training": sparse_experts.per_token_moe,
        "gpu training": sparse_experts.per_token_moe,
    },
}


def _form(function: str, is_training: bool | None) -> Callable[..., Any]:
    key = f"{program()} {'training' if is_training else 'inference'}"
    plain = getattr(reference, function.removeprefix("sparse_"))
    return FORMS[function].get(key, plain)


def per_token_dense(x: Any, affine: Affine, activation: Callable[[Any], Any]) -> Any:
    """`f(x_t W_t + b_t)`, every token with weights of its own.

    Args:
        x: (batch, T, I).
        affine: `W` (T, I, O), and `b` (T, 1, O) or `None`.
        activation: f.
    """
    return reference.per_token_dense(x, affine, activation)


def per_token_ffn(
    x: Any,
    up: Affine,
    down: Affine,
    activation: Callable[[Any], Any],
    gated: bool,
    dropout: Callable[[Any], Any],
    training: bool | None,
) -> Any:
    """`drop(f(x_t U_t + a_t)) W_t + b_t`, every token with weights of its own.

    Args:
        x: (batch, T, D).
        up: `U` (T, D, k D), and `a` (T, 1, k D) or `None`.
        down: `W` (T, k D, D), and `b` (T, 1, D) or `None`.
        activation: f.
        gated: whether `U` holds a gate and a value side by side, (T, D, 2 k D),
            and the hidden layer is `f(gate) * value`.
        dropout: applied to the hidden layer.
        training: whether the program trains.
    """
    form = _form("per_token_ffn", training)
    return form(x, up, down, activation, gated, dropout)


def per_token_moe(
    x: Any,
    gates: Any,
    up: Affine,
    down: Affine,
    activation: Callable[[Any], Any],
    gated: bool,
    sparse: bool,
    training: bool | None,
) -> Any:
    """`sum_j G_tj (f(x_t U_tj + a_tj) W_tj + b_tj)` over E experts of every token.

    Args:
        x: (batch, T, D).
        gates: `G` (batch, T, E), not negative.
        up: `U` (T, D, E H) and `a` (T, 1, E H) or `None`, the experts side by side.
        down: `W` (T, E H, D), and `b` (T, E, D) or `None`.
        activation: f.
        gated: whether `U` is (T, D, 2 E H), the gates of all experts and then their values, and
            an expert's hidden layer is `f(gate) * value`.
        sparse: whether an expert may leave out rows whose gate is zero.
        training: whether the program trains.
    """
    form = _form("sparse_per_token_moe", training) if sparse else reference.per_token_moe
    return form(x, gates, up, down, activation, gated)


def layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float, training: bool | None) -> Any:
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta` over the last axis."""
    return _form("layer_norm", training)(x, gamma, beta, epsilon)


def add(x: Any, y: Any) -> Any:
    """`x + y` for (batch, T, D) each."""
    return reference.add(x, y)


def residual(
    x: Any,
    layer: keras.layers.Layer,
    before: keras.layers.Layer | None,
    after: keras.layers.Layer | None,
    dropout: keras.layers.Dropout,
    training: bool | None,
) -> Any:
    """`after(x + drop(layer(before(x))))`; `None` for no norm."""
    return _form("residual", training)(x, layer, before, after, dropout)


def mix_tokens(x: Any, heads: int) -> Any:
    """Output token h is head h of every token, one after the other: (batch, H, T D / H)."""
    return reference.mix_tokens(x, heads)


def row_wise(function: Callable[..., Any], *tensors: Any) -> Any:
    """`function(*tensors)` of (batch, T, ·) tensors, which must treat the first two axes alike."""
    return in_layout(function, *tensors)


def scale_tokens(x: Any, gain: Any) -> Any:
    """`x_t * g_t` for `x` (batch, T, D) and `g` (T, D)."""
    return reference.scale_tokens(x, gain)


def concatenate_tokens(families: Any) -> Any:
    """(batch, T_i, D) each → (batch, sum of T_i, D), as a mixer stack reads it."""
    tokens = families[0] if len(families) == 1 else keras.ops.concatenate(families, axis=1)
    return tokens if program() == "eager" else batch_first(tokens_first(tokens))


def split_tokens(x: Any, count: int) -> tuple[Any, Any]:
    """The first `count` tokens, and the rest."""
    return reference.split_tokens(x, count)


def mean_of_tokens(x: Any, training: bool | None) -> Any:
    """(batch, T, D) → (batch, D)."""
    return _form("mean_of_tokens", training)(x)
