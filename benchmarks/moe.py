"""Sparse experts on MovieLens-100k: how many are active, epoch by epoch, and what that costs.

    python -m benchmarks.moe --seeds 3

RankMixer with 4 experts per token, each a quarter as wide as the dense model's hidden layer, beside
that dense model. The share is what is active in the last 20 steps of an epoch; `first` is the mean
over the whole first epoch. Results go to `benchmarks/results/moe.json`.
"""

import argparse
import json
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

import rankup_keras as rk
from benchmarks import measuring, quality
from benchmarks.quality_data import Problem, problem
from benchmarks.quality_metrics import auc
from rankup_keras.compat.nested_layers import nested_layers

EXPERTS, TARGET, LAST_STEPS = 4, 0.25, 20
SETTINGS: dict[str, Any] = {"token_dim": 32, "num_blocks": 2, "embedding_dim": 32}
SETTINGS |= {"dropout": 0.1, "embedding_dropout": 0.3}
# An expert's hidden layer is as wide as a token, the dense model's as all experts' together.
MOE: dict[str, Any] = {"kind": "moe", "num_experts": EXPERTS, "expansion": 1}
MOE |= {"target_share": TARGET}
KINDS: dict[str, dict[str, Any]] = {
    "dense": {"expansion": EXPERTS},
    "one router": {"ffn": MOE},
    "two routers": {"ffn": {**MOE, "two_routers": True}},
}


class Shares(keras.callbacks.Callback):
    """Keeps the shares of active experts of the last steps of every epoch."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.first: list[float] = []
        self.epochs: list[list[list[float]]] = []

    def _layers(self) -> list[Any]:
        layers = nested_layers(self.model)
        return [layer for layer in layers if isinstance(layer, rk.layers.PerTokenMoE)]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == self.steps - LAST_STEPS - 1:
            if not self.epochs:
                self.first = [float(layer.active_share.result()) for layer in self._layers()]
            for layer in self._layers():
                layer.active_share.reset_state()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        metrics = [layer.active_share for layer in self._layers()]
        self.epochs.append(
            [np.round(np.array(m.total) / float(m.count), 4).tolist() for m in metrics]
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--results", type=pathlib.Path, default=measuring.RESULTS / "moe.json")
    options = parser.parse_args(arguments)
    measuring.limit_threads(options.threads)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for seed in range(options.seeds):
        data = problem("movielens", seed)
        for kind, settings in KINDS.items():
            run = train(data, {**SETTINGS, **settings}, seed, options.epochs)
            found[kind].append(run)
            shares = " ".join(f"{np.mean(epoch):.3f}" for epoch in run["shares"] if epoch)
            print(f"{kind} seed {seed}: AUC {run['auc']:.4f} {shares}", flush=True)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(found, indent=1) + "\n")
    dense = statistics.fmean(run["auc"] for run in found["dense"])
    for kind, runs in found.items():
        mean = statistics.fmean(run["auc"] for run in runs)
        line = f"{kind}: {runs[0]['parameters']:,} parameters, AUC {mean:.4f} ({mean - dense:+.4f})"
        if runs[0]["first_epoch"]:
            by_layer = np.array([[np.mean(e, axis=-1) for e in run["shares"][:6]] for run in runs])
            fewest = min(np.min(e) for run in runs for e in run["shares"][:6])
            line += (
                f"; share at the ends of epochs 1 to 6 {by_layer.min():.3f} to {by_layer.max():.3f}"
                f", of the token with the fewest {fewest:.3f}"
            )
        print(line)
    return 0


def train(data: Problem, settings: dict[str, Any], seed: int, epochs: int) -> dict[str, Any]:
    """Trains that many epochs and tests the weights with the best validation AUC."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    features = rk.FeatureSet.from_config(data.features.get_config())
    model = rk.RankMixer(features, [data.task], **settings)
    model.compile(keras.optimizers.Adam(1e-3), metrics=[])
    batches = data.train.batches(data.task, data.batch_size, seed)
    shares = Shares(int(batches.cardinality()))
    best, weights = -1.0, None
    for _ in range(epochs):
        model.fit(batches, verbose=0, callbacks=[shares])
        valid = auc(data.valid.labels, quality.scores(model, data, data.valid.rows))
        if valid > best:
            best, weights = valid, model.get_weights()
    model.set_weights(weights)
    return {
        **quality.test(model, data),
        "valid_auc": best,
        "parameters": model.count_params(),
        "first_epoch": shares.first,
        "shares": shares.epochs,
    }


if __name__ == "__main__":
    raise SystemExit(main())
