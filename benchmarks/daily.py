"""Ten days of a model's life: warm starts against training anew, on rows in the order of time.

    python -m benchmarks.daily                    # 3 seeds, about 15 minutes on 2 cores
    python -m benchmarks.daily --seeds 1 --days 3

MovieLens-100k in the order of its timestamps: the older half is history, the newer one is cut into
equal days. Every day is scored before it is trained on, by three models:

- *warm*: yesterday's model; its vocabularies grow by the day's rows, rows of tables and slots move
  by value (`rk.warm_start`), and it trains on the day's rows alone;
- *scratch*: a new model, trained on all rows up to the day;
- *cold*: a new model, trained on yesterday's rows alone.

Printed: AUC and normalized entropy of the task `like` by day, mean and deviation over seeds, and
the seconds that a day's training took, the median. Results stay in `results/daily.json`.
"""

import argparse
import itertools
import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import measuring

COLUMNS = ("user_id", "item_id", "gender", "occupation", "genres", "release_year", "history")


def rows_in_order() -> dict[str, np.ndarray]:
    import rankup_keras as rk

    parts = rk.datasets.movielens_100k("time", verbose=False)
    rows = [parts.train, parts.valid, parts.test]
    times = np.concatenate([part.columns["timestamp"] for part in rows])
    order = np.argsort(times, kind="stable")
    return {
        name: np.concatenate(
            [part.labels[name] if name in part.labels else part.columns[name] for part in rows]
        )[order]
        for name in (*COLUMNS, "like")
    }


def model_of(features: Any) -> Any:
    import rankup_keras as rk

    model = rk.RankUp(features, ["like"], token_dim=32, num_blocks=2, embedding_dim=16)
    model.compile()
    return model


def features_of(rows: dict[str, np.ndarray]) -> Any:
    import rankup_keras as rk

    features = rk.FeatureSet(
        [
            rk.Categorical("user_id"),
            rk.Categorical("item_id"),
            rk.Categorical("gender"),
            rk.Categorical("occupation"),
            rk.Categorical("release_year"),
            rk.Categorical("genres", max_length=6),
            rk.History("history", of="item_id", max_length=20),
        ]
    )
    return features.adapt(rows)


def life(rows: dict[str, np.ndarray], days: int, epochs: int, seed: int) -> dict[str, Any]:
    import keras

    import rankup_keras as rk
    from rankup_keras.metrics import exact

    count = len(rows["like"])
    edges = np.linspace(count // 2, count, days + 1).astype(int)

    def part(start: int, end: int) -> dict[str, np.ndarray]:
        return {name: column[start:end] for name, column in rows.items()}

    def fit(model: Any, start: int, end: int) -> float:
        begun = time.perf_counter()
        model.fit(part(start, end), batch_size=512, epochs=epochs, verbose=0)
        return time.perf_counter() - begun

    def scored(model: Any, day: dict[str, np.ndarray], seconds: float) -> dict[str, float]:
        p = model.predict(day, batch_size=2048, verbose=0)["like"][:, 0]
        auc, entropy = exact.auc(day["like"], p), exact.normalized_entropy(day["like"], p)
        return {"auc": auc, "ne": entropy, "seconds": seconds}

    keras.utils.set_random_seed(seed)
    warm, ledger = model_of(features_of(part(0, edges[0]))), None
    seconds = fit(warm, 0, edges[0])
    found: dict[str, list[dict[str, float]]] = {"warm": [], "scratch": [], "cold": []}
    for day, (start, end) in enumerate(itertools.pairwise(edges), start=1):
        today = part(start, end)
        found["warm"].append(scored(warm, today, seconds))
        for name, first in (("scratch", 0), ("cold", 2 * start - end)):
            model = model_of(features_of(part(first, start)))
            found[name].append(scored(model, today, fit(model, first, start)))
        begun = time.perf_counter()
        grown = rk.features.grow(warm.features, today, ledger, day=day)
        model = rk.models.rebuild(warm, grown.features)
        rk.warm_start(model, warm)
        warm, ledger = model, grown.ledger
        seconds = time.perf_counter() - begun + fit(warm, start, end)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=2)
    o = parser.parse_args()
    rows = rows_in_order()
    lives = [life(rows, o.days, o.epochs, seed) for seed in range(o.seeds)]
    measuring.record("daily", {f"{o.days} days, {o.epochs} epochs, {o.seeds} seeds": lives})
    print(table(lives, o.days))


def table(lives: list[dict[str, Any]], count: int) -> str:
    """Means and deviations over seeds, a line per day and one for all."""
    lines = ["| day | " + " | ".join(f"{n}, AUC | NE | s" for n in lives[0]) + " |"]
    lines.append("|---" * (1 + 3 * len(lives[0])) + "|")
    for day in [*range(count), None]:
        cells = []
        for name in lives[0]:
            days = [x[name] if day is None else [x[name][day]] for x in lives]
            for key in ("auc", "ne"):
                means = [np.mean([d[key] for d in one]) for one in days]
                cells.append(f"{np.mean(means):.4f} ± {np.std(means, ddof=1):.4f}")
            cells.append(f"{np.median([d['seconds'] for one in days for d in one]):.1f}")
        lines.append(f"| {'all' if day is None else day + 1} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
