"""RankElastor from its equations: one sample, one token and one matrix at a time.

Everything is float64 and (batch, T, D).
"""

import math

import numpy as np

from tests.reference.mixers import gelu


def _unit_rms(v, epsilon):
    return v / math.sqrt((v * v).sum() / v.size + epsilon)


def _unit_layer(v, epsilon):
    mean = v.sum() / v.size
    return (v - mean) / math.sqrt(((v - mean) ** 2).sum() / v.size + epsilon)


def full_mixing(x, matrix, bias=None, normalise=None):
    """`vec(Y) = vec(X) W`: every entry of the token matrix with every other."""
    x = np.asarray(x, np.float64)
    out = np.zeros_like(x)
    for b in range(len(x)):
        vec = x[b].reshape(-1)
        vec = vec if normalise is None else normalise(vec)
        mixed = np.array([vec @ matrix[:, i] for i in range(vec.size)])
        out[b] = (mixed if bias is None else mixed + bias).reshape(x[b].shape)
    return out


def rms(gamma, epsilon):
    """A root-mean-square norm of a whole vector."""
    return lambda v: _unit_rms(v, epsilon) * gamma


def layer(gamma, beta, epsilon):
    """A layer norm of a whole vector."""
    return lambda v: _unit_layer(v, epsilon) * gamma + beta


def kronecker_matrix(token_kernels, width_kernels):
    """`W` with `vec(X) W = vec(sum_r A_r X B_r)`, vec by rows: `sum_r A_r^T (x) B_r`."""
    pairs = zip(token_kernels, width_kernels, strict=True)
    return sum(np.kron(a.astype(np.float64).T, b.astype(np.float64)) for a, b in pairs)


def per_token_rms_norm(x, gamma, epsilon):
    """`x_t / sqrt(mean(x_t^2) + epsilon) * gamma_t`."""
    x = np.asarray(x, np.float64)
    out = np.empty_like(x)
    for b, t in np.ndindex(x.shape[:2]):
        out[b, t] = _unit_rms(x[b, t], epsilon) * gamma[t].reshape(-1)
    return out


def paper_glu(x, w1, w2, w3, residual):
    """`(GELU(M_t W1) * (M_t W2)) W3 + M_t W_r`; all matrices (T, in, out)."""
    x = np.asarray(x, np.float64)
    out = np.empty_like(x)
    for b, t in np.ndindex(x.shape[:2]):
        m = x[b, t]
        out[b, t] = (gelu(m @ w1[t]) * (m @ w2[t])) @ w3[t] + m @ residual[t]
    return out


def code_glu(v, lift1, lift2, skip1, skip2, reduce):
    """`reduce((skip2(v) + GELU(lift1(v))) * lift2(v)) + skip1(v)`; each a pair (matrix, bias)."""

    def linear(value, pair):
        return value @ pair[0] + pair[1]

    gate = linear(v, skip2) + gelu(linear(v, lift1))
    return linear(gate * linear(v, lift2), reduce) + linear(v, skip1)


def code_stack(x, stages, last, epsilon):
    """The authors' network of every token: norm and gated unit for each width, a map to the next.

    `stages[i][t]` holds token t's `gamma`, `lift1`, `lift2`, `skip1`, `skip2`, `reduce`, and `map`
    where the width changes; `last[t]` is the map back to D.
    """
    x = np.asarray(x, np.float64)
    out = np.empty_like(x)
    for b, t in np.ndindex(x.shape[:2]):
        v = x[b, t]
        for stage in stages:
            own = stage[t]
            v = _unit_rms(v, epsilon) * own["gamma"]
            v = code_glu(v, *(own[n] for n in ("lift1", "lift2", "skip1", "skip2", "reduce")))
            if "map" in own:
                v = v @ own["map"][0] + own["map"][1]
        out[b, t] = v @ last[t][0] + last[t][1]
    return out
