"""Layers over events from their equations, one sample and one event at a time."""

import math

import numpy as np


def _f64(*arrays):
    return [np.asarray(a, np.float64) for a in arrays]


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * _sigmoid(x)


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def layer_norm(x, gamma, beta):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-6) * gamma + beta


def rms_norm(x, scale):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * scale


def softmax(scores):
    e = np.exp(np.asarray(scores) - max(scores))
    return e / e.sum()


def event_embedding(columns, present, w):
    out = np.zeros((*present.shape, w["dense/bias"].size))
    for b, t in np.argwhere(present != 0):
        x = np.concatenate([c[b, t] for c in _f64(*columns)]) @ w["dense/kernel"] + w["dense/bias"]
        out[b, t] = gelu(layer_norm(x, w["norm/gamma"], w["norm/beta"]))
    return out


def event_swiglu(x, w):
    x = np.asarray(x, np.float64)
    n = rms_norm(x, w["norm/scale"])
    return x + (silu(n @ w["gate/kernel"]) * (n @ w["up/kernel"])) @ w["down/kernel"]


def event_attention(queries, events, present, w, heads, visible=None, prefix=""):
    queries, events = _f64(queries, events)
    query, key, value, out = (w[f"{prefix}{name}"] for name in ("query", "key", "value", "out"))
    size = query.shape[1] // heads
    result = np.zeros((*queries.shape[:2], out.shape[1]))
    for b in range(len(queries)):
        for n in range(queries.shape[1]):
            seen = [
                t
                for t in range(events.shape[1])
                if present[b, t] and (visible is None or visible[n, t])
            ]
            if not seen:
                continue
            parts = []
            for h in range(heads):
                own = slice(h * size, (h + 1) * size)
                q = queries[b, n] @ query[:, own]
                weights = softmax(
                    [q @ (events[b, t] @ key[:, own]) / math.sqrt(size) for t in seen]
                )
                values = [events[b, t] @ value[:, own] for t in seen]
                parts.append(sum(a * v for a, v in zip(weights, values, strict=True)))
            result[b, n] = np.concatenate(parts) @ out
    return result


def head_attention(queries, events, present, key, value, first=0):
    queries, events = _f64(queries, events)
    width = queries.shape[2]
    result = np.zeros_like(queries)
    for b in range(len(queries)):
        seen = np.flatnonzero(present[b])
        for i in range(queries.shape[1]) if len(seen) else ():
            own = events[b, :, (first + i) * width : (first + i + 1) * width]
            scores = [queries[b, i] @ (own[t] @ key[i]) / math.sqrt(width) for t in seen]
            for a, t in zip(softmax(scores), seen, strict=True):
                result[b, i] += a * (own[t] @ value[i])
    return result


def din_attention(events, present, candidate, w):
    events, candidate = _f64(events, candidate)
    if "projection/kernel" in w:
        candidate = candidate @ w["projection/kernel"] + w["projection/bias"]
    result = np.zeros((len(events), events.shape[2]))
    layers = sorted(name for name in w if name.startswith("dense") and name.endswith("kernel"))
    for b, t in np.argwhere(present != 0):
        e, c = events[b, t], candidate[b]
        x = np.concatenate([e, c, e - c, e * c])
        for number, name in enumerate(layers):
            x = x @ w[name] + w[name.replace("kernel", "bias")]
            x = np.maximum(x, 0) if number < len(layers) - 1 else x
        result[b] += x * e
    return result


def encoder_layer(x, events, present, w, prefix, heads, visible=None):
    def norm(name, x):
        return layer_norm(x, w[f"{prefix}{name}/gamma"], w[f"{prefix}{name}/beta"])

    x = x + event_attention(
        norm("norm", x), norm("norm", events), present, w, heads, visible, f"{prefix}attention/"
    )
    n = norm("ffn_norm", x)
    hidden = gelu(n @ w[f"{prefix}up/kernel"] + w[f"{prefix}up/bias"])
    return x + hidden @ w[f"{prefix}down/kernel"] + w[f"{prefix}down/bias"]


def older_or_same(length):
    """Newest first: event i sees t >= i."""
    return np.arange(length)[:, None] <= np.arange(length)


def transformer(events, present, w, layers, heads, causal):
    x = np.where(present[..., None] != 0, events, 0).astype(np.float64) + w["position"]
    visible = older_or_same(x.shape[1]) if causal else None
    for number in range(1, layers + 1):
        x = encoder_layer(x, x, present, w, f"layer_{number}/", heads, visible)
    return x * (present != 0)[..., None]


def longer(events, present, w, recent, merge, layers, heads):
    batch, length, width = events.shape
    merged = -(-length // merge)
    x, there = np.zeros((batch, merged, width)), np.zeros((batch, merged), bool)
    for b in range(batch):
        for g in range(merged):
            group = np.zeros((merge, width))
            for j in range(merge):
                t = g * merge + j
                if t < length and present[b, t]:
                    group[j], there[b, g] = events[b, t], True
            x[b, g] = group.reshape(-1) @ w["merging/kernel"] + w["merging/bias"]
    x = x + w["position"]
    recent = min(recent, merged)
    asking = np.concatenate([np.repeat(w["token"][None], batch, 0), x[:, :recent]], axis=1)
    kept = np.concatenate([np.ones((batch, 1), bool), there[:, :recent]], axis=1)
    asking = encoder_layer(asking, x, there, w, "layer_1/", heads)
    for number in range(2, layers + 1):
        visible = older_or_same(1 + recent)
        asking = encoder_layer(asking, asking, kept, w, f"layer_{number}/", heads, visible)
    return asking * kept[..., None]


def hstu(events, present, gaps, w, layers, heads, time_buckets):
    x = np.where(present[..., None] != 0, events, 0).astype(np.float64)
    batch, length, width = x.shape
    size = width // heads
    for number in range(1, layers + 1):
        n = layer_norm(x, w[f"norm_{number}/gamma"], w[f"norm_{number}/beta"])
        four = silu(n @ w[f"four_{number}/kernel"] + w[f"four_{number}/bias"])
        u, v, q, k = np.split(four, 4, axis=-1)
        attended = np.zeros_like(x)
        for b in range(batch):
            for i in range(length):
                seen = [t for t in range(i, length) if present[b, t]]
                for h in range(heads):
                    own = slice(h * size, (h + 1) * size)
                    for t in seen:
                        bucket = int(np.float32(np.log2(abs(gaps[b, i] - gaps[b, t]) + 1)))
                        bias = w[f"place_bias_{number}"][t - i, h]
                        bias += w[f"time_bias_{number}"][min(bucket, time_buckets - 1), h]
                        a = silu(q[b, i, own] @ k[b, t, own] + bias) / len(seen)
                        attended[b, i, own] += a * v[b, t, own]
        gated = layer_norm(attended, w[f"after_{number}/gamma"], w[f"after_{number}/beta"]) * u
        x = x + gated @ w[f"out_{number}/kernel"] + w[f"out_{number}/bias"]
    return x * (present != 0)[..., None]


def masked_mixing(user, item):
    """All tokens mixed, entry j of row i zeroed if `i < U` and `j >= U D / T`."""
    x = np.concatenate(_f64(user, item), axis=1)
    _, tokens, width = x.shape
    head, users = width // tokens, user.shape[1]
    out = np.zeros_like(x)
    for h in range(tokens):
        for t in range(tokens):
            out[:, h, t * head : (t + 1) * head] = x[:, t, h * head : (h + 1) * head]
    out[:, :users, users * head :] = 0
    return out


def merged(sequences, present, w):
    parts = zip(sequences, w["type"], present, strict=True)
    typed = [(x + t) * np.expand_dims(p, -1) for x, t, p in parts]
    return np.concatenate(typed, 1)
