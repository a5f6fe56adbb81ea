"""The main job of the package on real data: `python -m rankup_keras.demo`.

Trains RankUp and RankMixer on MovieLens-100k, tracks their effective rank,
exports RankUp, and scores raw rows with the export as a server would. On the
time-ordered split it also trains RankUp on events: what the user rated before,
how, and how long ago.
"""

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import rankup_keras as rk
from rankup_keras.cli.output import table
from rankup_keras.data.rows import Rows
from rankup_keras.data.splits import Splits
from rankup_keras.datasets import movielens_100k, movielens_features
from rankup_keras.serving import load_session

EVENTS = "RankUp, events"
MODELS = {"random": ("RankUp", "RankMixer"), "time": ("RankUp", "RankMixer", EVENTS)}
TASKS = ("like", "love")
# Found on validation rows of both splits.
SETTINGS = {"token_dim": 32, "embedding_dropout": 0.3, "dropout": 0.1}
NUM_BLOCKS = 2
# RankUp has a second table set; wider networks make RankMixer as large.
EXPANSION = {"RankUp": 2, EVENTS: 2, "RankMixer": 4}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--seed", type=int, default=0, help="seed of split and weights")
    parser.add_argument("--epochs", type=int, default=40, help="at most this many")
    parser.add_argument(
        "--splits", nargs="+", default=["random", "time"], choices=["random", "time"]
    )
    parser.add_argument("--output", type=Path, default=Path("saved_models/rankup_movielens"))
    parser.add_argument("--runs", type=Path, default=Path("runs/demo"), help="rank logs, plots")
    options = parser.parse_args(arguments)

    results = []
    for number, split in enumerate(options.splits):
        heading(f"MovieLens-100k, {split} split")
        data = movielens_100k(split=split, seed=options.seed, verbose=number == 0)
        print(
            f"{data.train.num_rows} rows for training, {data.valid.num_rows} for early stopping, "
            f"{data.test.num_rows} for testing; columns: {', '.join(data.train.columns)}"
        )
        for name in MODELS[split]:
            heading(f"Training {name} ({split} split)")
            folder = options.runs / split / name.lower().replace(", ", "_")
            model, ranks, row = train(name, data, options.seed, options.epochs, folder)
            results.append({"split": split, **row})
            heading(f"Effective rank of {name}'s tokens, by layer and epoch ({split} split)")
            print(ranks.table())
            ranks.plot(folder / "effective_rank.png")
            print(f"Plot: {folder / 'effective_rank.png'}")
            if split == options.splits[0] and name == "RankUp":
                heading("Exporting RankUp and scoring raw rows with the export")
                export_and_score(model, data.test, data.valid, options.output)
    heading("Results on the test rows")
    print(table(results))
    return 0


def train(name: str, data: Splits, seed: int, epochs: int, folder: Path) -> tuple[Any, Any, dict]:
    """Trains one model. Returns it, its rank callback, and its row of the results."""
    start = time.perf_counter()
    keras.utils.set_random_seed(seed)
    parts = data.train, data.valid, data.test
    train, valid, test = with_events(parts) if name == EVENTS else parts
    features = event_features() if name == EVENTS else movielens_features()
    features.adapt(train)
    kind = rk.RankMixer if name == "RankMixer" else rk.RankUp
    tasks = [rk.Task(task) for task in TASKS]
    model = kind(features, tasks, num_blocks=NUM_BLOCKS, expansion=EXPANSION[name], **SETTINGS)
    model.compile(keras.optimizers.Adam(5e-4))
    folder.mkdir(parents=True, exist_ok=True)
    ranks = rk.callbacks.EffectiveRank(
        valid, path=folder / "ranks.jsonl", log_dir=folder / "tensorboard"
    )
    stop = keras.callbacks.EarlyStopping(
        "val_like_auc", mode="max", patience=3, restore_best_weights=True
    )
    model.fit(
        *train, batch_size=1024, epochs=epochs, validation_data=valid, callbacks=[ranks, stop]
    )
    seconds = time.perf_counter() - start
    scores = model.evaluate(*test, batch_size=4096, verbose=0, return_dict=True)
    profile = rk.diagnostics.rank_profile(model, valid)
    last = profile.layers[f"block_{NUM_BLOCKS}_ffn"].normalized
    numbers = {
        f"{task} {metric}": f"{scores[f'{task}_{metric}']:.4f}"
        for task in TASKS
        for metric in ("auc", "log_loss")
    }
    row = {"model": name, "parameters": model.count_params(), **numbers}
    row |= {"rank of last block / ceiling": f"{last:.3f}", "seconds": round(seconds)}
    return model, ranks, row


def with_events(parts: Iterable[Rows]) -> list[tuple[Any, dict[str, np.ndarray]]]:
    """Rows and labels of each part, with lists of what the user had rated before each row."""
    log = rk.data.EventLog(
        "user_id",
        "timestamp",
        {"seen": "item_id", "seen_year": "release_year", "seen_genre": "genre",
         "seen_stars": "verdict", "seen_at": "timestamp"},
        length=50,
    )  # fmt: skip
    found = []
    for columns, labels in parts:
        verdict = np.select([labels["love"] > 0, labels["like"] > 0], ["love", "like"], "neither")
        rows = {name: list(c) if c.ndim > 1 else c for name, c in columns.items()}
        rows |= {"genre": columns["genres"][:, 0], "verdict": verdict}
        found.append((log.add(rows), labels))
    return found


def event_features() -> rk.FeatureSet:
    """Those of `movielens_features`, with events and their time in place of the history's ids."""
    kept = [f for f in movielens_features().features if f.name != "history"]
    ids = {"seen": "item_id", "seen_year": "release_year", "seen_genre": "genre",
           "seen_stars": ["love", "like", "neither"]}  # fmt: skip
    events = rk.Events("ratings", ids, 50, time="seen_at", request_time="timestamp")
    return rk.FeatureSet(
        [*kept, rk.Categorical("genre", side="candidate"), rk.Timestamp("timestamp"), events]
    )


def export_and_score(model: Any, test: Rows, warmup: Rows, output: Path) -> None:
    """Exports, loads the export into a C++ session, and compares on raw rows."""
    path = rk.export(model, output, warmup=warmup.columns)
    print(f"Exported to {path}")
    rows = {name: column[:1000] for name, column in test.columns.items()}
    raw = {name: rows[name] for name in model.features.raw_spec()}
    wanted = model.predict(raw, batch_size=1000, verbose=0)
    with load_session(path) as session:
        served = session.run(raw)
    shown = ("user_id", "age", "item_id", "release_year", "genres")
    lines = []
    for index in range(5):
        line = {name: _shown(rows[name][index]) for name in shown}
        line["history"] = f"{np.count_nonzero(rows['history'][index])} items"
        for task in TASKS:
            for who, result in (("model", wanted), ("export", served)):
                line[f"{task}, {who}"] = f"{result[task][index].item():.6f}"
        lines.append(line)
    print(table(lines))
    gap = max(float(np.abs(served[t].reshape(-1) - wanted[t].reshape(-1)).max()) for t in TASKS)
    print(
        f"Largest difference between model and export on {len(rows['user_id'])} raw rows: {gap:.1e}"
    )
    if gap > 1e-6:
        raise SystemExit(f"The export differs from the model by {gap:.1e}, more than 1e-6.")


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return "|".join(str(item) for item in value if item)
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def heading(text: str) -> None:
    """Prints what comes next."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
