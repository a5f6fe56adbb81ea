"""The README's lines beside what scikit-learn gives in as many: on one split, over seeds.

    python -m benchmarks.baselines --data <folder of the Parquet files> --seeds 2

RankUp by `rk.RankUp(features, tasks)`, `compile()` and `fit` with early stopping, all defaults;
logistic regression on one-hot columns, its C chosen by the validation rows;
`HistGradientBoostingClassifier` on target-encoded columns. All read the same columns of the same
rows: a random 80 % to train, 10 % to choose by, 10 % to test on, by
`rankup_keras.data.random_split(rows, seed)`. Writes `benchmarks/results/baselines.md`.
"""

import argparse
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

BATCH, EPOCHS, PATIENCE = 1024, 20, 2
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
        frame = pd.read_parquet(folder / f"{name}.parquet")
    frame = frame[[label, *categories, *numbers]]
    for column in categories:
        frame[column] = frame[column].astype("string").fillna("").astype(object)
    return frame.astype(dict.fromkeys(numbers, "float64"))


def rankup(columns: Columns, parts: Parts, seed: int) -> np.ndarray:
    """The README's lines."""
    label, categories, numbers = columns
    train, valid, test = parts
    keras.utils.set_random_seed(seed)
    features = rk.FeatureSet(
        [*(rk.Categorical(name) for name in categories), *(rk.Numeric(name) for name in numbers)]
    ).adapt(train)
    model = rk.RankUp(features, [label])
    model.compile()
    best = keras.callbacks.EarlyStopping(
        "val_auc", mode="max", patience=PATIENCE, restore_best_weights=True
    )
    fit = {"batch_size": BATCH, "epochs": EPOCHS, "verbose": 0, "callbacks": [best]}
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


CONTENDERS: dict[str, Callable[[Columns, Parts, int], np.ndarray]] = {
    "RankUp": rankup,
    "logistic regression": logistic,
    "HistGradientBoosting": boosting,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    folder = os.environ.get("RANKUP_KERAS_BENCHMARK_DATA", ".")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(folder))
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--table", type=pathlib.Path, default=measuring.RESULTS / "baselines.md")
    options = parser.parse_args(arguments)
    rows: list[list[str]] = []
    for name in options.sets:
        frame, label = load(name, options.data), SETS[name][0]
        for contender, score in CONTENDERS.items():
            found: list[tuple[float, float, float]] = []
            for seed in range(options.seeds):
                parts: Any = [frame.iloc[i] for i in rk.data.random_split(len(frame), seed)]
                begun, y = time.perf_counter(), parts[2][label].to_numpy()
                p = score(SETS[name], tuple(parts), seed)
                found.append((auc(y, p), log_loss(y, p), time.perf_counter() - begun))
            aucs, losses, seconds = zip(*found, strict=True)
            spread = statistics.stdev(aucs) if len(aucs) > 1 else 0.0
            rows.append(
                [name, contender, f"{statistics.mean(aucs):.4f} ± {spread:.4f}",
                 f"{statistics.mean(losses):.4f}", f"{statistics.mean(seconds):.0f}"]
            )  # fmt: skip
            print(*rows[-1], flush=True)
    head = ["set", "model", "AUC", "log loss", "seconds"]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    options.table.write_text(
        f"`python -m benchmarks.baselines --seeds {options.seeds}`\n\n" + "\n".join(lines) + "\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
