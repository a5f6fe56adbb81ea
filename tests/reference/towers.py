"""Pooling and task towers, one task at a time."""

import numpy as np

from tests.reference.tokens import mlp


def pool(tokens, num_task_tokens, pooling):
    """(batch, T, D) → what all tasks share, and the task tokens (batch, K, D)."""
    tokens = np.asarray(tokens, np.float64)
    shared = tokens.shape[1] - num_task_tokens
    common = [tokens[:, t] for t in range(shared)]
    pooled = sum(common) / shared if pooling == "mean" else np.concatenate(common, axis=1)
    return pooled, tokens[:, shared:]


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def task_towers(names, pooled, task_tokens, layers, activation):
    """`y_k = sigmoid(MLP_k(concat(task_token_k, pooled)))`; `layers` as stacked kernels, biases."""
    out = {}
    for k, name in enumerate(names):
        x = pooled if task_tokens is None else np.concatenate([task_tokens[:, k], pooled], axis=1)
        own = [(kernel[k], bias[k].reshape(-1)) for kernel, bias in layers]
        out[name] = sigmoid(mlp(x, own, activation))
    return out
