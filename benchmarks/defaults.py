"""What RankUp's defaults should be: variants of them side by side, by validation rows alone.

    python -m benchmarks.defaults --data <folder of the Parquet files>

Real sets, and made-up ones with frequent ids, rare ids and a weak signal; each split as in
`benchmarks.baselines`, of which the test rows are left alone, with batches and patience that
`init` takes for so many rows. A variant is what `rk.RankUp` and `compile` are given beside what
README and `init` write. Every run adds a line to `results/defaults.jsonl`, with the
validation AUC and log loss of each epoch, so that one pass and the best of many can both be read;
runs that are there are not made again. `--only-report` makes the table of those of `--rows`.
"""

import argparse
import os
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

import rankup_keras as rk
from benchmarks import baselines, measuring
from benchmarks.study import Run, Study
from rankup_keras.cli.starter import batch_size_for

RECIPE: dict[str, Any] = {"embedding_dropout": 0.3, "dropout": 0.1}


def _uniform(scale: float) -> keras.Initializer:
    return keras.initializers.RandomUniform(-scale, scale)


# What is changed beside the recipe; `rates` are those of tables and of the dense part.
VARIANTS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "no dropout": {"embedding_dropout": 0.0, "dropout": 0.0},
    "tables drawn to 0.2": {"embeddings_initializer": _uniform(0.2)},
    "tables drawn to 0.01": {"embeddings_initializer": _uniform(0.01)},
    "tables drawn to 0.001": {"embeddings_initializer": _uniform(0.001)},
    "tables at 3e-3": {"rates": (3e-3, 1e-3)},
    "tables at 3e-4": {"rates": (3e-4, 1e-3)},
    "dense part at 3e-3": {"rates": (1e-3, 3e-3)},
    "dense part at 3e-4": {"rates": (1e-3, 3e-4)},
    "warm-up of 100 steps": {"warmup": 100},
    "Adagrad at 0.05 for the tables": {"adagrad": 0.05},
    "tables drawn anew when worse": {"fresh": "val_auc"},
    "tables drawn anew always": {"fresh": None},
    "L2 of 1e-3 on the tables": {"embeddings_regularizer": keras.regularizers.L2(1e-3)},
    "width 32": {"token_dim": 32},
    "values seen twice": {"min_count": 2},
}
SMALL = {"num_users": 200, "num_items": 100, "num_values": 20}
SETS = [*baselines.SETS, "frequent_ids", "rare_ids", "weak_signal"]


def made_up(name: str, rows: int = 30_000) -> tuple[baselines.Columns, pd.DataFrame]:
    """Clicks of known probabilities: from few ids or many, or hardly from anything."""
    if name == "weak_signal":
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({f"c{i}": rng.zipf(1.5, rows) % 50 for i in range(8)})
        effects = rng.normal(0, 0.15, (8, 50))
        logit = sum(effects[i][frame[f"c{i}"]] for i in range(8)) - 1.5
        for i in range(4):
            frame[f"x{i}"] = rng.lognormal(size=rows)
            logit = logit + 0.1 * np.log(frame[f"x{i}"])
        frame["click"] = rng.random(rows) < 1 / (1 + np.exp(-logit))
        columns = "click", [f"c{i}" for i in range(8)], [f"x{i}" for i in range(4)]
    else:
        ids = SMALL if name == "frequent_ids" else {}
        clicks = rk.datasets.PlantedClicks(rank=4, num_fields=8, history_length=0, **ids)
        values, labels, _ = clicks.rows(0, rows)
        frame = pd.DataFrame({**values, **labels})
        columns = "click", list(values), []
    frame["click"] = frame["click"].astype("float32")
    frame[columns[1]] = frame[columns[1]].astype(str)
    return columns, frame


def train(key: Run, folder: pathlib.Path) -> Run:
    """Validation AUC and log loss of every epoch of one variant on one set."""
    if key["set"] in baselines.SETS:
        columns, frame = baselines.SETS[key["set"]], baselines.load(key["set"], folder)
    else:
        columns, frame = made_up(key["set"])
    label, categories, numbers = columns
    train, valid, _ = (frame.iloc[i] for i in rk.data.random_split(len(frame), key["seed"]))
    train = train.iloc[: key["rows"]]
    settings = {**RECIPE, **VARIANTS[key["variant"]]}
    counted = settings.pop("min_count", 1)
    tables, dense = settings.pop("rates", (1e-3, 1e-3))
    adagrad = settings.pop("adagrad", None)
    callbacks: list[Any] = []
    if "fresh" in settings:
        callbacks.append(rk.callbacks.FreshTables(settings.pop("fresh")))
    if steps := settings.pop("warmup", 0):
        rising = {"initial_learning_rate": 0.0, "decay_steps": 10**9, "warmup_steps": steps}
        tables, dense = (
            keras.optimizers.schedules.CosineDecay(**rising, warmup_target=rate)
            for rate in (tables, dense)
        )
    keras.utils.set_random_seed(key["seed"])
    features = rk.FeatureSet(
        [*(rk.Categorical(name, min_count=counted) for name in categories),
         *(rk.Numeric(name) for name in numbers)]
    ).adapt(train)  # fmt: skip
    model = rk.RankUp(features, [label], **settings)
    rows = rk.optimizers.Adagrad(adagrad) if adagrad else rk.optimizers.LazyAdam(tables)
    model.compile(rk.optimizers.Split(rows, rk.optimizers.Adam(dense)))
    batch = batch_size_for(len(train))
    patience = max(baselines.PATIENCE, -(-baselines.PATIENCE_STEPS * batch // len(train)))
    callbacks.append(keras.callbacks.EarlyStopping("val_auc", mode="max", patience=patience))
    fit = {"batch_size": batch, "epochs": baselines.EPOCHS, "verbose": 0}
    found = model.fit(train, validation_data=valid, callbacks=callbacks, **fit).history
    return {"auc": found["val_auc"], "log_loss": found["val_loss"], "train_loss": found["loss"]}


def report(runs: Sequence[Run]) -> str:
    """Best validation AUC less that of the recipe, in ten thousandths; mean over seeds."""
    recipe = {(r["set"], r["seed"]): r for r in runs if r["variant"] == "recipe"}
    sets = [name for name in SETS if any(r["set"] == name for r in runs)]
    lines = []
    for title, value in (
        ("AUC of the best epoch", lambda r: 1e4 * max(r["auc"])),
        ("AUC after one epoch", lambda r: 1e4 * r["auc"][0]),
        ("log loss of the epoch with the best AUC",
         lambda r: 1e4 * r["log_loss"][int(np.argmax(r["auc"]))]),
    ):  # fmt: skip
        lines += ["", f"| {title} | {' | '.join(sets)} |", "|---" * (len(sets) + 1) + "|"]
        for variant in VARIANTS:
            cells = []
            for name in sets:
                own = [r for r in runs if (r["variant"], r["set"]) == (variant, name)]
                own = [r for r in own if (name, r["seed"]) in recipe]
                base = 0.0 if variant == "recipe" else 1.0
                moved = [value(r) - base * value(recipe[name, r["seed"]]) for r in own]
                text = f"{statistics.mean(moved):+.0f}" if moved else "–"
                if moved and variant == "recipe":
                    text = f"{statistics.mean(moved) / 1e4:.4f}"
                if len(moved) > 1 and variant != "recipe":
                    text += f" ± {statistics.stdev(moved):.0f}"
                cells.append(text)
            if set(cells) != {"–"}:
                lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines).strip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    folder = os.environ.get("RANKUP_KERAS_BENCHMARK_DATA", ".")
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(folder))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rows", type=int, default=10**9, help="at most so many to train on")
    results = measuring.RESULTS / "defaults.jsonl"
    parser.add_argument("--results", type=pathlib.Path, default=results)
    parser.add_argument("--only-report", action="store_true", help="train nothing")
    options = parser.parse_args(arguments)
    study = Study(options.results)
    if not options.only_report:
        measuring.limit_threads(1)
        for seed in options.seeds:
            for name in options.sets:
                for variant in options.variants:
                    key = {"set": name, "variant": variant, "seed": seed}
                    key |= {"rows": options.rows}
                    run = study.run(key, lambda key: train(key, options.data))
                    print(*key.values(), [round(v, 4) for v in run["auc"]], flush=True)
    print(report([run for run in study.runs if run["rows"] == options.rows]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
