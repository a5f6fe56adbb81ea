"""What size, depth and rows do to each model, in one pass over clicks of known truth.

    python -m benchmarks.scale --short          # two cores, within 20 minutes
    python -m benchmarks.scale                  # the full form, made for a GPU
    python -m benchmarks.scale --only-report

Models of equal numbers of parameters outside tables read every row of a stream once, as industry
does. `excess` is how far the test rows' expected log loss lies above their Bayes entropy; both are
exact, since `rk.datasets.PlantedClicks` knows the true probabilities. Each model trains at the
learning rates that gave it the least excess on validation rows, of `RATES`, at the middle size.
Every run adds a line to `results/scale.jsonl` (`scale_short.jsonl`); those that are there are not
made again, so that a study that was interrupted resumes. The tables are made from that file.
"""

import argparse
import concurrent.futures
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

import rankup_keras as rk
from benchmarks import measuring
from benchmarks.quality_data import Part
from benchmarks.scale_models import ALL, CONTENDERS, WITHOUT, fitted
from benchmarks.scale_report import report
from benchmarks.study import Run, Study
from rankup_keras.datasets.planted_clicks import expected

TEST_START, VALID_START = 10**12, 2 * 10**12  # rows far behind any that are trained on
SHARES = (0.125, 0.25, 0.5, 1.0)  # of the rows, after which a model is tested
RATES = ((3e-3, 1e-3), (1e-2, 3e-3), (1e-2, 1e-3))  # of tables and of all else
DEEP = ("rankmixer", "rankup", "tokenmixer_large", "unimixer_lite")


@dataclasses.dataclass(frozen=True, eq=False)
class Form:
    """How large a study is."""

    base: int  # parameters outside tables, of size 1
    rows: int
    batch: int
    test_rows: int
    seeds: int
    deep_seeds: int  # of runs at other depths
    clicks: dict[str, int]
    rank: int
    fields: int
    depths: tuple[int, ...]
    data: tuple[tuple[int, int], ...]  # (rank, fields) for RankUp's components
    sizes: tuple[int, ...] = (1, 4, 16)
    depth: int = 4
    middle: int = 4  # the size at which depths and components are compared


SHORT = Form(
    base=50_000,
    rows=300_000,
    batch=512,
    test_rows=50_000,
    seeds=2,
    deep_seeds=1,
    clicks={"num_users": 200, "num_items": 100, "num_values": 20},
    rank=4,
    fields=8,
    depths=(2, 8, 16),
    data=(),
)
FULL = Form(
    base=250_000,
    rows=8_000_000,
    batch=4096,
    test_rows=200_000,
    seeds=3,
    deep_seeds=3,
    clicks={"num_users": 20_000, "num_items": 5_000, "num_values": 100},
    rank=8,
    fields=16,
    depths=(2, 8, 16),
    data=((4, 16), (16, 16), (8, 48)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seeds", type=int, help="seeds 0, 1, ... of weights")
    parser.add_argument("--rows", type=int, help="rows of the one pass")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(ALL))
    parser.add_argument("--minutes", type=float, help="start no run after so many")
    parser.add_argument("--jobs", type=int, help="processes of one thread; default: cores, or 1")
    parser.add_argument("--results", type=pathlib.Path, help="the file of the runs")
    parser.add_argument("--only-report", action="store_true", help="train nothing")
    options = parser.parse_args(arguments)
    given = {key: getattr(options, key) for key in ("seeds", "rows") if getattr(options, key)}
    form = dataclasses.replace(SHORT if options.short else FULL, **given)
    name = "scale_short" if options.short else "scale"
    path = options.results or measuring.RESULTS / f"{name}.jsonl"
    study, end = Study(path), time.monotonic() + 60 * (options.minutes or 1e9)
    if not options.only_report:
        on_gpu = bool(measuring.gpu())
        jobs = options.jobs or (1 if on_gpu else os.cpu_count() or 1)
        with concurrent.futures.ProcessPoolExecutor(
            jobs,
            multiprocessing.get_context("spawn"),
            initializer=measuring.limit_threads,
            initargs=(None if on_gpu else 1,),
        ) as pool:
            for keys in (tuning(form, options.models), plan(form, options.models, study.runs)):
                run_all(functools.partial(pool.submit, train), jobs, study, keys, form, end)
    text = report(study.runs)
    path.with_suffix(".md").write_text(text)
    print(text)
    return 0


def run_all(
    begin: Any, jobs: int, study: Study, keys: Iterator[Run], form: Form, end: float
) -> None:
    """The runs of `keys` that the study lacks, `jobs` at a time, none begun after `end`."""
    waiting = [key for key in keys if study.find(key) is None][::-1]
    running: dict[Any, Run] = {}
    while waiting or running:
        while waiting and len(running) < jobs and time.monotonic() < end:
            key = waiting.pop()
            running[begin(key, form)] = key
        if not running:
            print("Out of time: run again to go on.")
            return
        done, _ = concurrent.futures.wait(running, return_when="FIRST_COMPLETED")
        for future in done:
            study.run(running.pop(future), lambda _, future=future: future.result())


def _key(form: Form, model: str, size: int, depth: int, seed: int, rate: int, **more: int) -> Run:
    shared = {"rows": form.rows, "rank": form.rank, "fields": form.fields, **more}
    return {"model": model, "size": size, "depth": depth, "seed": seed, "rate": rate, **shared}


def tuning(form: Form, models: Sequence[str]) -> Iterator[Run]:
    """The keys of the runs by which rates are chosen."""
    for model in CONTENDERS:
        if model in models:
            for rate in range(len(RATES)):
                yield _key(form, model, form.middle, form.depth, 0, rate)


def plan(form: Form, models: Sequence[str], runs: Sequence[Run]) -> Iterator[Run]:
    """The keys of all other runs, those that answer most first."""
    tuned = [run for run in runs if run["size"] == form.middle and run["depth"] == form.depth]

    def rate(model: str) -> int:
        name = "rankup" if model in WITHOUT else model
        own = [run for run in tuned if run["model"] == name and not run["seed"]]
        return int(min(own, key=lambda run: run["valid_excess"], default={"rate": 0})["rate"])

    def key(model: str, size: int, depth: int, seed: int, **more: int) -> Run:
        return _key(form, model, size, depth, seed, rate(model), **more)

    def all_keys() -> Iterator[Run]:
        for seed in range(form.seeds):
            for size in form.sizes:
                yield from (key(model, size, form.depth, seed) for model in CONTENDERS)
            for depth in form.depths if seed < form.deep_seeds else ():
                yield from (key(model, form.middle, depth, seed) for model in DEEP)
            for rank, fields in form.data:
                yield from (
                    key(model, form.middle, form.depth, seed, rank=rank, fields=fields)
                    for model in ("rankmixer", "rankup", *WITHOUT)
                )

    yield from (key for key in all_keys() if key["model"] in models)


@functools.lru_cache(maxsize=1)
def data(form: Form, rank: int, fields: int, rows: int) -> tuple[Any, ...]:
    """Features, encoded training rows, and encoded test and validation rows with their truth."""
    clicks = rk.datasets.PlantedClicks(
        rank=rank, num_fields=fields, pairs=fields, triples=fields // 2, **form.clicks
    )
    features = clicks.features()
    pieces, labels = [], []
    for columns, clicked in clicks.batches(100_000, 0, rows):
        pieces.append(features.encode(columns))
        labels.append(clicked["click"])
    train = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    held = []
    for start in (TEST_START, VALID_START):
        columns, _, true = clicks.rows(start, form.test_rows)
        held.append((features.encode(columns), true))
    return features, Part(train, np.concatenate(labels)), *held


def train(key: Run, form: Form) -> Run:
    """One pass, tested on the way, and the ranks at its end."""
    features, rows, (test, true), valid = data(form, key["rank"], key["fields"], key["rows"])
    start, cpu_start = time.perf_counter(), time.process_time()
    keras.backend.clear_session()
    keras.utils.set_random_seed(key["seed"])
    settings = fitted(key["model"], features, key["size"] * form.base, key["depth"])
    own = rk.FeatureSet.from_config(features.get_config())
    model = ALL[key["model"]].model(own, ["click"], **settings)
    # Adagrad's steps on tables are too small for one pass where the loss is a mean over the batch.
    of_tables, of_rest = RATES[key["rate"]]
    tables = rk.optimizers.LazyAdam(of_tables)
    model.compile(rk.optimizers.Split(tables, rk.optimizers.Adam(of_rest)), metrics=[])
    best, steps = expected(true, true), -(-key["rows"] // form.batch)
    path, done = [], 0
    for share in SHARES:
        end = min(key["rows"], round(share * steps) * form.batch)
        part = Part({k: v[done:end] for k, v in rows.rows.items()}, rows.labels[done:end])
        model.fit(_in_order(part, form.batch), verbose=0)
        done = end
        found = _of(model, test, true)
        excess, gap = found.log_loss - best.log_loss, best.auc - found.auc
        path.append({"rows": end, "excess": excess, "auc_gap": gap})
    found_cost = rk.models.measure(model)
    run = {
        **path[-1],
        "rows": key["rows"],
        "valid_excess": _of(model, *valid).log_loss - expected(valid[1], valid[1]).log_loss,
        "bayes": dataclasses.asdict(best),
        "path": path,
        "ranks": _ranks(model, test),
        "parameters": found_cost.dense_parameters,
        "flops": found_cost.flops,
        "settings": {k: v for k, v in settings.items() if isinstance(v, int | float)},
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu_start, 1),
    }
    print(
        f"{key['model']} x{key['size']} depth {key['depth']} rank {key['rank']} fields "
        f"{key['fields']} seed {key['seed']} rates {RATES[key['rate']]}: "
        f"{run['parameters']:,} parameters, excess "
        f"{run['excess']:.4f}, AUC gap {run['auc_gap']:.4f}, {run['seconds']:.0f} s",
        flush=True,
    )
    return run


def _of(model: Any, rows: Any, true: np.ndarray) -> Any:
    predicted = model.predict(rows, batch_size=8192, verbose=0)["click"][:, 0]
    return expected(true, predicted.astype(np.float64))


def _in_order(part: Part, batch: int) -> Any:
    import tensorflow as tf

    rows = tf.data.Dataset.from_tensor_slices((part.rows, {"click": part.labels[:, None]}))
    options = tf.data.Options()
    options.autotune.enabled = False
    return rows.batch(batch).prefetch(2).with_options(options)


def _ranks(model: Any, rows: dict[str, np.ndarray]) -> dict[str, float] | None:
    """Normalized effective ranks of the last block's tokens: of a sample's, and of a token's."""
    blocks = [layer.name for layer in model.layers if layer.name.endswith("_ffn")]
    if not blocks:
        return None
    some, last = {name: values[:512] for name, values in rows.items()}, blocks[-1]
    profile = rk.diagnostics.rank_profile(model, some, layers=[last], samples=512, table_rows=0)
    found = profile.layers[last]
    return {"sample": found.normalized, "token": found.token_mean / found.token_ceiling}


if __name__ == "__main__":
    raise SystemExit(main())
