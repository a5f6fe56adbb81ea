"""Tokenizers and the tokens beside the sparse ones, one group and one sample at a time."""

import math

import numpy as np


def groups_of(permutation, num_groups):
    """Consecutive groups of a permutation, the first `n mod groups` of them one larger."""
    out, start = [], 0
    for g in range(num_groups):
        size = len(permutation) // num_groups + (1 if g < len(permutation) % num_groups else 0)
        out.append(list(permutation[start : start + size]))
        start += size
    return out


def permutation_tokens(x, field_dims, permutation, num_tokens, kernel, bias):
    """RankUp: token t is the concatenation of its group's whole fields, projected."""
    x = np.asarray(x, np.float64)
    starts = [sum(field_dims[:f]) for f in range(len(field_dims))]
    out = np.zeros((len(x), num_tokens, kernel.shape[2]))
    for t, group in enumerate(groups_of(permutation, num_tokens)):
        joined = np.concatenate([x[:, starts[f] : starts[f] + field_dims[f]] for f in group], 1)
        out[:, t] = joined @ kernel[t, : joined.shape[1]].astype(np.float64) + bias[t].reshape(-1)
    return out


def slice_tokens(x, num_tokens, kernel, bias):
    """RankMixer, section 3.2: slice t of the concatenation, projected."""
    x = np.asarray(x, np.float64)
    width = math.ceil(x.shape[1] / num_tokens)
    out = np.zeros((len(x), num_tokens, kernel.shape[2]))
    for t in range(num_tokens):
        piece = x[:, t * width : (t + 1) * width]
        out[:, t] = piece @ kernel[t, : piece.shape[1]].astype(np.float64) + bias[t].reshape(-1)
    return out


def mlp(x, layers, activation):
    """Dense layers, the activation between them: `layers` is a list of (kernel, bias)."""
    for index, (kernel, bias) in enumerate(layers):
        x = x @ kernel + bias
        if index + 1 < len(layers):
            x = activation(x)
    return x


def pooled_sequence(items, ids, combiner):
    """Mean, sum, or sum over the root of the count, of the items whose id is not 0."""
    items = np.asarray(items, np.float64)
    out = np.zeros((len(items), items.shape[2]))
    for b in range(len(items)):
        present = [items[b, i] for i in range(items.shape[1]) if ids[b, i] != 0]
        if not present:
            continue
        divisor = {"sum": 1, "mean": len(present), "sqrtn": math.sqrt(len(present))}[combiner]
        out[b] = np.sum(present, axis=0) / divisor
    return out


def sequence_tokens(embeddings, ids, combiners, kernel, bias):
    """One token per sequence: its pooled items, projected."""
    tokens = []
    for s, (items, own, combiner) in enumerate(zip(embeddings, ids, combiners, strict=True)):
        pooled = pooled_sequence(items, own, combiner)
        tokens.append(pooled @ kernel[s, : pooled.shape[1]] + bias[s].reshape(-1))
    return np.stack(tokens, 1)


def crossed_tokens(left, right, kernel, bias, missing_bias):
    """One token per pair: the projected product; a missing vector adds the pair's learned bias."""
    tokens = []
    for p, (a, b) in enumerate(zip(left, right, strict=True)):
        rows = []
        for u, v in zip(a.astype(np.float64), b.astype(np.float64), strict=True):
            row = (u * v) @ kernel[p, : len(u)] + bias[p].reshape(-1)
            if not u.any() or not v.any():
                row = row + missing_bias[p]
            rows.append(row)
        tokens.append(rows)
    return np.stack(tokens, 1)


def task_tokens(tokens, learned):
    """The learned tokens, the same for every sample, behind the given ones."""
    return np.stack([np.concatenate([sample, learned]) for sample in tokens])


def numeric_embedding(x, vectors, bias):
    """`e_n = x_n v_n + b_n`, side by side."""
    rows = [
        np.concatenate([x[b, n] * vectors[n] + bias[n] for n in range(x.shape[1])])
        for b in range(len(x))
    ]
    return np.stack(rows)
