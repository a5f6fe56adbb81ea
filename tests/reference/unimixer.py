"""UniMixer, SiameseNorm and Zenith's attention from their equations, in loops."""

import math

import numpy as np

from tests.reference.mixers import layer_norm


def sinkhorn(w, tau, iterations, symmetric=True):
    """`exp(w / tau)`, rows and then columns divided by their sums, so many times."""
    w = w.astype("float64")
    w = (w + w.T) / 2 if symmetric else w
    w = np.exp((w - w.max()) / tau)
    for _ in range(iterations):
        for i in range(len(w)):
            w[i] /= w[i].sum()
        for j in range(len(w)):
            w[:, j] /= w[:, j].sum()
    return w


def unimixing(x, blocks, whole):
    """`h_i = x_i B_i`, `y_i = sum_j G_ij h_j` of the blocks of a row's entries."""
    x = np.asarray(x, np.float64)
    out = np.empty_like(x)
    size = blocks.shape[-1]
    for row in range(len(x)):
        parts = x[row].reshape(-1, size)
        h = [part @ matrix for part, matrix in zip(parts, blocks, strict=True)]
        y = [sum(g * part for g, part in zip(weights, h, strict=True)) for weights in whole]
        out[row] = np.reshape(y, x[row].shape)
    return out


def siamese(x, layers, norms, last):
    """`o = F(X + Norm Y)`, `X = Norm(X + o)`, `Y = Y + o` from X = Y = x; `X + Norm Y` at last.

    `norms[i]` are the (gamma, beta) of Y's and X's norm around layer i, `last` those of the end.
    """
    first = second = np.asarray(x, np.float64)
    for function, (of_second, of_first) in zip(layers, norms, strict=True):
        o = function(first + layer_norm(second, *of_second))
        first, second = layer_norm(first + o, *of_first), second + o
    return first + layer_norm(second, *last)


def gram_mixing(x, kernel):
    """`(X X^T / D) X W` of the tokens of every row."""
    x, kernel = np.asarray(x, np.float64), kernel.astype("float64")
    out = np.zeros_like(x)
    for row, tokens in zip(out, x, strict=True):
        for t, own in enumerate(tokens):
            row[t] = sum((own @ other) / len(own) * other for other in tokens) @ kernel
    return out


def token_attention(x, query, key, value, out, heads, tasks=0):
    """`softmax(q_t . k_u / sqrt(d)) v_u` in every head, the heads side by side times `out`.

    The last `tasks` tokens read those before them and themselves, the others no task's.
    """
    x = np.asarray(x, np.float64)
    batch, tokens, width = x.shape
    d = width // heads
    y = np.zeros_like(x)
    for b in range(batch):
        q, k, v = ([x[b, t] @ w[t] for t in range(tokens)] for w in (query, key, value))
        for t in range(tokens):
            mixed, read = [], max(tokens - tasks, t + 1)
            for h in range(heads):
                own = slice(h * d, (h + 1) * d)
                scores = np.array([q[t][own] @ k[u][own] / math.sqrt(d) for u in range(read)])
                shares = np.exp(scores - scores.max())
                shares /= shares.sum()
                mixed.append(sum(s * v[u][own] for u, s in enumerate(shares)))
            y[b, t] = np.concatenate(mixed) @ out
    return y
