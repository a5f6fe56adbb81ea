"""Models of one size on public data: AUC, log loss and effective rank, over seeds.

    python -m benchmarks.quality --seeds 5
    python -m benchmarks.quality --seeds 1 --datasets movielens --models rankup,rankmixer

Every run adds a line to `benchmarks/results/quality.jsonl`; runs that are there already, with the
same settings, are not made again, so that a study can be interrupted and resumed. The Parquet files
of Frappe and Book-Crossing are looked for in `--data`, then in the folder that the environment
variable RANKUP_KERAS_BENCHMARK_DATA names.
"""

import argparse
import functools
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

import rankup_keras as rk
from benchmarks import measuring
from benchmarks.measuring import RESULTS
from benchmarks.quality_data import DATASETS, Problem, problem
from benchmarks.quality_metrics import auc, log_loss
from benchmarks.quality_models import CONTENDERS, RECIPE, matched
from benchmarks.study import Run, Study

EPOCHS = 30


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0, 1, ... of split and weights")
    parser.add_argument("--datasets", type=_names(DATASETS), default=list(DATASETS[:3]))
    parser.add_argument("--models", type=_names(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--data", type=pathlib.Path, help="folder of the Parquet files")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="at most this many")
    parser.add_argument("--threads", type=int, help="cores, so that several studies can share them")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS / "quality.jsonl")
    parser.add_argument("--table", type=pathlib.Path, default=RESULTS / "quality.md")
    options = parser.parse_args(arguments)

    measuring.limit_threads(options.threads)
    study, runs = Study(options.results), []
    for dataset in options.datasets:
        recipe = {**RECIPE, "epochs": options.epochs}
        plans: dict[str, dict[str, Any]] = {}
        for seed in range(options.seeds):
            load = functools.cache(functools.partial(problem, dataset, folder=options.data))
            for name in options.models:
                crossed = CONTENDERS[name].crossed
                if crossed and dataset != "movielens":
                    continue
                if name not in plans:
                    # The widths are those of seed 0's vocabularies, for all seeds.
                    own, columns = load(0, crossed=crossed).features, load(0).features
                    plans[name] = matched(name, own, columns, load(0).task, recipe)
                key = {"dataset": dataset, "model": name, "seed": seed}
                key |= {"settings": plans[name], "recipe": recipe}
                make = functools.partial(train, load=load, crossed=crossed)
                runs.append(study.run(key, make))
    table = report(runs)
    options.table.parent.mkdir(parents=True, exist_ok=True)
    options.table.write_text(table)
    print(table)
    return 0


def _names(known: Any) -> Any:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown} are not among {list(known)}")
        return names

    return parse


def train(key: Run, load: Callable[..., Problem], crossed: bool) -> Run:
    """Trains a contender and tests its best weights."""
    data = load(key["seed"], crossed=crossed)
    model = build(key["model"], key["settings"], key["seed"], data)
    start = time.perf_counter()
    found = fit(model, data, key["seed"], key["recipe"])
    seconds = time.perf_counter() - start
    run = {
        **test(model, data),
        **found,
        "rank": last_rank(model, data),
        "parameters": model.count_params(),
        "dense_parameters": rk.models.measure(model).dense_parameters,
        "seconds": round(seconds, 1),
    }
    print(
        f"{key['dataset']} {key['model']} seed {key['seed']}: AUC {run['auc']:.4f}, "
        f"log loss {run['log_loss']:.4f}, {run['epochs']} epochs, {seconds:.0f} s",
        flush=True,
    )
    return run


def build(name: str, settings: dict[str, Any], seed: int, data: Problem) -> Any:
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    features = rk.FeatureSet.from_config(data.features.get_config())
    return CONTENDERS[name].model(features, [data.task], **settings)


def fit(model: Any, data: Problem, seed: int, recipe: dict[str, Any]) -> dict[str, Any]:
    """Trains until validation AUC stops rising, and leaves the best weights in the model."""
    model.compile(keras.optimizers.Adam(recipe["learning_rate"]), metrics=[])
    batches = data.train.batches(data.task, data.batch_size, seed)
    best, weights, waited, epochs = -1.0, None, 0, 0
    while epochs < recipe["epochs"] and waited < data.patience:
        model.fit(batches, verbose=0)
        epochs += 1
        waited += 1
        found = auc(data.valid.labels, scores(model, data, data.valid.rows))
        if found > best:
            best, weights, waited = found, model.get_weights(), 0
    model.set_weights(weights)
    return {"valid_auc": best, "epochs": epochs}


def test(model: Any, data: Problem) -> dict[str, float]:
    predicted = scores(model, data, data.test.rows)
    return {
        "auc": auc(data.test.labels, predicted),
        "log_loss": log_loss(data.test.labels, predicted),
    }


def scores(model: Any, data: Problem, rows: dict[str, np.ndarray]) -> np.ndarray:
    predicted = model.predict(rows, batch_size=8192, verbose=0)
    return predicted[data.task][:, 0].astype(np.float64)


def last_rank(model: Any, data: Problem) -> float | None:
    """Normalized effective rank of the last block's tokens, on validation rows."""
    blocks = [layer.name for layer in model.layers if layer.name.endswith("_ffn")]
    if not blocks:
        return None
    rows = {name: values[:512] for name, values in data.valid.rows.items()}
    profile = rk.diagnostics.rank_profile(model, rows, layers=blocks[-1:], table_rows=0)
    return profile.layers[blocks[-1]].normalized


def report(runs: Sequence[dict[str, Any]]) -> str:
    """Mean ± standard deviation over seeds, as one Markdown table per data set."""
    lines = []
    for dataset in dict.fromkeys(run["dataset"] for run in runs):
        lines += [f"### {dataset}", ""]
        heads = ["model", "seeds", "AUC", "log loss", "rank of the last block"]
        heads += ["parameters", "dense"]
        lines += [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
        own = [run for run in runs if run["dataset"] == dataset]
        for name in dict.fromkeys(run["model"] for run in own):
            of_model = [run for run in own if run["model"] == name]
            cells = [
                name,
                str(len(of_model)),
                *(spread(of_model, field) for field in ("auc", "log_loss", "rank")),
                *(f"{of_model[0][field]:,}" for field in ("parameters", "dense_parameters")),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def spread(runs: Sequence[dict[str, Any]], field: str) -> str:
    values = [run[field] for run in runs]
    if None in values:
        return "–"
    std = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{std}"


if __name__ == "__main__":
    raise SystemExit(main())
