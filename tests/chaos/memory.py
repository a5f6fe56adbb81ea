"""Memory that stays what it is, however often a model is used."""

import gc
import os

import keras
import numpy as np
import psutil

from rankup_keras import diagnostics

SHARE = 0.02


def flat(path: os.PathLike, count: int) -> str:
    """`count` times `rank_profile` and five times as many `predict`, after some to warm up."""
    model = keras.saving.load_model(path, compile=False)
    random = np.random.default_rng(0)
    rows = {
        "user": np.array([f"u{v}" for v in random.integers(0, 30, 64)]),
        "item": np.array([f"i{v}" for v in random.integers(0, 40, 64)]),
        "price": random.normal(size=64).astype(np.float32),
    }
    found = []
    for name, use, times in (
        ("rank_profile", lambda: diagnostics.rank_profile(model, rows), count),
        ("predict", lambda: model.predict(rows, verbose=0), 5 * count),
    ):
        for _ in range(10):
            use()
        before = _bytes()
        for _ in range(times):
            use()
        share = _bytes() / before - 1
        assert share < SHARE, f"{times} {name}: {share:.1%} more memory"
        found.append(f"{times} {name}: {share:+.2%}")
    return ", ".join(found)


def _bytes() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss
