"""The README's lines beside what scikit-learn gives in as many: on one split, over seeds.

    python -m benchmarks.baselines --data <folder of the Parquet files> --seeds 2

RankUp as `rankup-keras init` writes it, without `FreshTables`, and without its dropouts besides,
by `compile()` and `fit` with early stopping, batches and patience those that `init` takes for so
many rows; logistic regression on one-hot columns, its C chosen by the validation rows;
`HistGradientBoostingClassifier` on target-encoded columns. All read the same
columns of the same rows: a random 80 % to train, 10 % to choose by, 10 % to test on, by
`rankup_keras.data.random_split(rows, seed)`. Every run adds a line to `results/baselines.jsonl`;
those that are there are not made again. The table is `results/baselines.md`.
"""

import argparse
import functools
import itertools
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, TargetEncoder

import rankup_keras as rk
from benchmarks import measuring
from benchmarks.quality_metrics import auc, log_loss
from benchmarks.study import Run, Study
from rankup_keras.cli.starter import batch_size_for

EPOCHS, PATIENCE, PATIENCE_STEPS = 20, 2, 300
# Label, categorical columns, numeric columns.
Columns = tuple[str, list[str], list[str]]
SETS: dict[str, Columns] = {
    "frappe": (
        "label_used",
        ["user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather",
         "country", "city"],
        [],
    ),
    "book_crossing": (
        "label_rated",
        ["user", "item", "Location", "Book-Author", "Publisher"],
        ["Age", "Year-Of-Publication"],
    ),
    "book_crossing_like": (
        "label_like",
        ["user", "item", "Location", "Book-Author", "Publisher"],
        ["Age", "Year-Of-Publication"],
    ),
    "criteo_8k": (
        "label_click",
        [f"C{i}" for i in range(1, 27)],
        [f"I{i}" for i in range(1, 14)],
    ),
    "movielens": (
        "like",
        ["user_id", "gender", "occupation", "item_id", "release_year", "genre"],
        ["age"],
    ),
}  # fmt: skip
Parts = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def load(name: str, folder: pathlib.Path) -> pd.DataFrame:
    """The rows of a set, categories as text, in the file's order."""
    label, categories, numbers = SETS[name]
    if name == "movielens":
        splits = rk.datasets.movielens_100k(verbose=False)
        parts = []
        for rows in (splits.train, splits.valid, splits.test):
            frame = {key: rows.columns[key] for key in (*categories[:-1], *numbers)}
            genre = rows.columns["genres"][:, 0]
            parts.append(pd.DataFrame({**frame, "genre": genre, label: rows.labels[label]}))
        frame = pd.concat(parts, ignore_index=True)
    else:
        frame = pd.read_parquet(folder / f"{name.removesuffix('_like')}.parquet")
    frame = frame[[label, *categories, *numbers]]
    for column in categories:
        frame[column] = frame[column].astype("string").fillna("").astype(object)
    return frame.astype(dict.fromkeys(numbers, "float64"))


def rankup(
    columns: Columns, parts: Parts, seed: int, fresh_tables: bool = True, **settings: Any
) -> np.ndarray:
    """The README's lines."""
    label, categories, numbers = columns
    train, valid, test = parts
    keras.utils.set_random_seed(seed)
    features = rk.FeatureSet(
        [*(rk.Categorical(name) for name in categories), *(rk.Numeric(name) for name in numbers)]
    ).adapt(train)
    model = rk.RankUp(features, [label], **settings)
    model.compile()
    batch = batch_size_for(sum(map(len, parts)))
    patience = max(PATIENCE, -(-PATIENCE_STEPS * batch // len(train)))
    best = keras.callbacks.EarlyStopping(
        "val_auc", mode="max", patience=patience, restore_best_weights=True
    )
    fresh = [rk.callbacks.FreshTables("val_auc")] if fresh_tables else []
    fit = {"batch_size": batch, "epochs": EPOCHS, "verbose": 0, "callbacks": [*fresh, best]}
    model.fit(train, validation_data=valid, **fit)
    return model.predict(test, batch_size=4096, verbose=0)[label][:, 0]


def logistic(columns: Columns, parts: Parts, seed: int) -> np.ndarray:
    """Logistic regression on one-hot columns; C by the validation rows."""
    label, categories, numbers = columns
    train, valid, test = parts
    found = []
    for strength in (0.03, 0.1, 0.3, 1.0):
        scaled = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
        model = make_pipeline(
            make_column_transformer(
                (OneHotEncoder(handle_unknown="ignore"), categories), (scaled, numbers)
            ),
            LogisticRegression(C=strength, max_iter=300),
        ).fit(train, train[label])
        chosen = auc(valid[label].to_numpy(), model.predict_proba(valid)[:, 1])
        found.append((chosen, strength, model))
    return max(found, key=lambda item: item[:2])[2].predict_proba(test)[:, 1]


def boosting(columns: Columns, parts: Parts, seed: int) -> np.ndarray:
    """Boosted trees on target-encoded columns."""
    label, categories, numbers = columns
    train, _, test = parts
    model = make_pipeline(
        make_column_transformer(
            (TargetEncoder(random_state=seed), categories), ("passthrough", numbers)
        ),
        HistGradientBoostingClassifier(random_state=seed),
    ).fit(train, train[label])
    return model.predict_proba(test)[:, 1]


RECIPE = {"embedding_dropout": 0.3, "dropout": 0.1}
CONTENDERS: dict[str, Callable[[Columns, Parts, int], np.ndarray]] = {
    "RankUp": functools.partial(rankup, **RECIPE),
    "RankUp, tables kept": functools.partial(rankup, **RECIPE, fresh_tables=False),
    "RankUp, no dropout": functools.partial(rankup, fresh_tables=False),
    "logistic regression": logistic,
    "HistGradientBoosting": boosting,
}


def score(key: Run, folder: pathlib.Path) -> Run:
    """AUC, log loss and seconds of one contender on the test rows of one split."""
    columns, frame = SETS[key["set"]], load(key["set"], folder)
    parts: Any = [frame.iloc[rows] for rows in rk.data.random_split(len(frame), key["seed"])]
    begun, y = time.perf_counter(), parts[2][columns[0]].to_numpy()
    p = CONTENDERS[key["model"]](columns, tuple(parts), key["seed"])
    seconds = round(time.perf_counter() - begun, 1)
    return {"auc": auc(y, p), "log_loss": log_loss(y, p), "seconds": seconds}


def report(runs: Sequence[Run]) -> str:
    """A row for each set and contender: means over seeds, and deviations."""
    lines = ["| set | model | seeds | AUC | log loss | seconds |", "|---|---|---:|---:|---:|---:|"]
    for name, contender in itertools.product(SETS, CONTENDERS):
        own = [run for run in runs if (run["set"], run["model"]) == (name, contender)]
        if own:
            means = {k: statistics.mean(r[k] for r in own) for k in ("auc", "log_loss", "seconds")}
            aucs = [run["auc"] for run in own]
            spread = f" ± {statistics.stdev(aucs):.4f}" if len(own) > 1 else ""
            lines.append(
                f"| {name} | {contender} | {len(own)} | {means['auc']:.4f}{spread} | "
                f"{means['log_loss']:.4f} | {means['seconds']:.0f} |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    folder = os.environ.get("RANKUP_KERAS_BENCHMARK_DATA", ".")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(folder))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--models", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of TensorFlow; default: all")
    results = measuring.RESULTS / "baselines.jsonl"
    parser.add_argument("--results", type=pathlib.Path, default=results)
    options = parser.parse_args(arguments)
    measuring.limit_threads(options.threads)
    study = Study(options.results)
    for seed, name, model in itertools.product(range(options.seeds), options.sets, options.models):
        key = {"set": name, "model": model, "seed": seed}
        print(study.run(key, functools.partial(score, folder=options.data)), flush=True)
    text = report(study.runs)
    options.results.with_suffix(".md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
