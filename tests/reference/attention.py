"""Attention of a candidate over a sequence, and grouped fields, one sample at a time."""

import itertools
import math

import numpy as np


def target_attention(items, ids, candidate, query, key):
    """`sum_i a_i e_i`, `a` the softmax of `(c Q) . (e_i K) / sqrt(u)` over real items."""
    out = np.zeros((len(items), items.shape[2]))
    for b in range(len(items)):
        real = [i for i in range(items.shape[1]) if ids[b, i] != 0]
        if not real:
            continue
        wanted = candidate[b].astype(np.float64) @ query
        keys = [items[b, i].astype(np.float64) @ key for i in real]
        scores = [float(wanted @ k) / math.sqrt(query.shape[1]) for k in keys]
        weights = [math.exp(s - max(scores)) for s in scores]
        for weight, i in zip(weights, real, strict=True):
            out[b] += weight / sum(weights) * items[b, i].astype(np.float64)
    return out


def semantic_tokens(x, field_dims, groups, kernel, bias):
    """Token t is the concatenation of the fields that group t names, projected."""
    x = np.asarray(x, np.float64)
    starts = [sum(field_dims[:f]) for f in range(len(field_dims))]
    out = np.zeros((len(x), len(groups), kernel.shape[2]))
    for b in range(len(x)):
        for t, group in enumerate(groups):
            joined = np.concatenate([x[b, starts[f] : starts[f] + field_dims[f]] for f in group])
            out[b, t] = joined @ kernel[t, : joined.size] + bias[t].reshape(-1)
    return out


def shared_slice_tokens(x, num_tokens, kernel, bias):
    """RankElastor's code: every slice through the same projection."""
    width = math.ceil(x.shape[1] / num_tokens)
    padded = np.zeros((len(x), width * num_tokens))
    padded[:, : x.shape[1]] = x
    slices = [padded[:, t * width : (t + 1) * width] for t in range(num_tokens)]
    return np.stack([piece @ kernel + bias for piece in slices], axis=1)


def factorization_machine(x, field_dims):
    """`(sum_f e_f, sum over pairs f < g of e_f * e_g)`, side by side."""
    x = np.asarray(x, np.float64)
    starts = np.cumsum([0, *field_dims])
    fields = [x[:, a:b] for a, b in itertools.pairwise(starts)]
    pairs = np.zeros_like(fields[0])
    for f in range(len(fields)):
        for g in range(f + 1, len(fields)):
            pairs += fields[f] * fields[g]
    return np.concatenate([sum(fields), pairs], axis=1)


def cross_network(x, kernels, biases):
    """DCN V2: `x_{l+1} = x_0 * (x_l W_l + b_l) + x_l`."""
    x = start = np.asarray(x, np.float64)
    for kernel, bias in zip(kernels, biases, strict=True):
        x = start * (x @ kernel + bias) + x
    return x
