"""Mixing, per-token networks and blocks from the papers' equations: loops over heads and tokens.

Everything is float64 and (batch, T, D).
"""

import math

import numpy as np


def token_mixing(x, heads=None):
    """RankMixer, section 3.3.1: output token h is head h of every token, one after the other."""
    x = np.asarray(x, np.float64)
    batch, tokens, width = x.shape
    heads = heads or tokens
    size = width // heads
    out = np.zeros((batch, heads, tokens * size))
    for h in range(heads):
        for t in range(tokens):
            out[:, h, t * size : (t + 1) * size] = x[:, t, h * size : (h + 1) * size]
    return out


def gelu(x):
    """x times the normal distribution function: the exact form, by `math.erf`."""
    x = np.asarray(x, np.float64)
    return np.array([0.5 * v * (1.0 + math.erf(v / math.sqrt(2.0))) for v in x.flat]).reshape(
        x.shape
    )


def relu(x):
    return np.where(x > 0, x, 0.0)


def silu(x):
    return x / (1.0 + np.exp(-x))


def per_token_dense(x, kernel, bias=None):
    """`y_t = x_t W_t + b_t`, one token and one sample at a time."""
    x = np.asarray(x, np.float64)
    batch, tokens, _ = x.shape
    out = np.zeros((batch, tokens, kernel.shape[2]))
    for t in range(tokens):
        for b in range(batch):
            out[b, t] = x[b, t] @ kernel[t].astype(np.float64)
            if bias is not None:
                out[b, t] += bias[t].reshape(-1)
    return out


def per_token_ffn(x, w1, b1, w2, b2, activation=gelu):
    """RankMixer, section 3.3.2: `f(x_t W1_t + b1_t) W2_t + b2_t`."""
    return per_token_dense(activation(per_token_dense(x, w1, b1)), w2, b2)


def per_token_swiglu(x, gate, value, down):
    """RankUp: `(silu(x_t G_t) * (x_t U_t)) W_t`."""
    hidden = silu(per_token_dense(x, gate)) * per_token_dense(x, value)
    return per_token_dense(hidden, down)


def layer_norm(x, gamma, beta, epsilon=1e-6):
    """Each vector less its mean, over the square root of its variance."""
    x = np.asarray(x, np.float64)
    out = np.empty_like(x)
    for index in np.ndindex(x.shape[:-1]):
        v = x[index]
        mean = v.sum() / v.size
        variance = ((v - mean) ** 2).sum() / v.size
        out[index] = (v - mean) / math.sqrt(variance + epsilon) * gamma + beta
    return out


def rms_norm(x, scale, epsilon=1e-6):
    """Each vector over the root of the mean of its squares."""
    x = np.asarray(x, np.float64)
    out = np.empty_like(x)
    for index in np.ndindex(x.shape[:-1]):
        v = x[index]
        out[index] = v / math.sqrt((v * v).sum() / v.size + epsilon) * scale
    return out


def pre_norm(x, layer, norm):
    """RankUp: `x + layer(norm(x))`."""
    return x + layer(norm(x))


def post_norm(x, layer, norm):
    """RankMixer: `norm(x + layer(x))`."""
    return norm(x + layer(x))


def pre_norm_block(x, mix, ffn, norm1, norm2):
    """RankUp: `H' = Mix(LN(H)) + H`, `H'' = PFFN(LN(H')) + H'`."""
    h = mix(norm1(x)) + x
    return ffn(norm2(h)) + h


def post_norm_block(x, mix, ffn, norm1, norm2):
    """RankMixer: `S = LN(Mix(X) + X)`, `X' = LN(PFFN(S) + S)`."""
    s = norm1(mix(x) + x)
    return norm2(ffn(s) + s)


def tokenmixer_large_block(x, heads, first, second, norm_mixed, norm_tokens):
    """TokenMixer-Large: `H' = H + F1(Norm H)`, `R = Mix_T(H')`, `X' = X + F2(Norm R)`."""
    h = token_mixing(x, heads)
    h = h + first(norm_mixed(h))
    r = token_mixing(h, x.shape[1])
    return x + second(norm_tokens(r))
