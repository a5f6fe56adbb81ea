"""The per-token mixture of experts, one expert of one token of one sample at a time."""

import numpy as np

from tests.reference.mixers import gelu


def gate(s, kernel, bias):
    """`ReLU(s R + b)`."""
    return np.maximum(s @ kernel + bias, 0.0)


def per_token_moe(x, experts, routers, activation=gelu):
    """`v_t = sum_j G_tj (f(s W1_tj + b1_tj) W2_tj + b2_tj)`, G the mean over the routers' gates.

    `experts[t][j]` is (W1, b1, W2, b2), `routers` a list of lists over tokens of (kernel, bias).
    """
    x = np.asarray(x, np.float64)
    out = np.zeros_like(x)
    for b, t in np.ndindex(x.shape[:2]):
        s = x[b, t]
        gates = sum(gate(s, *router[t]) for router in routers) / len(routers)
        for g, (w1, b1, w2, b2) in zip(gates, experts[t], strict=True):
            if g > 0:
                out[b, t] += g * (activation(s @ w1 + b1) @ w2 + b2)
    return out


def per_token_top_k(x, experts, routers, active, scale, over_chosen, shared=None):
    """`shared(x) + a sum_j g_j expert_j(x)` over the `active` experts with the largest logits.

    `experts[t][j]` and `shared[t]` are (gate, value, down); `g` is the softmax over the chosen or
    over all.
    """

    def swiglu(s, gate, value, down):
        hidden = s @ gate
        return (hidden / (1 + np.exp(-hidden)) * (s @ value)) @ down

    x = np.asarray(x, np.float64)
    out = np.zeros_like(x)
    for b, t in np.ndindex(x.shape[:2]):
        s = x[b, t]
        logits = s @ routers[t]
        chosen = np.argsort(-logits)[:active]
        total = np.exp(logits[chosen] if over_chosen else logits).sum()
        for j in chosen:
            out[b, t] += scale * np.exp(logits[j]) / total * swiglu(s, *experts[t][j])
        if shared is not None:
            out[b, t] += swiglu(s, *shared[t])
    return out
