"""Model, reloaded export and gRPC answers on 1,000 real rows of three data sets, every signature.

python -m benchmarks.serving_equality                          # all three
python -m benchmarks.serving_equality --datasets movielens

MovieLens-100k is fetched; `frappe.parquet` and `criteo_8k.parquet` are looked for in `--data`, or
in the folder that RANKUP_KERAS_BENCHMARK_DATA names. Exits 1 where two answers differ by more than
1e-6, or `rank` by more than 1e-5 when candidates come in another order or number.
"""

import argparse
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pyarrow.parquet as pq

import rankup_keras as rk
from benchmarks.quality_data import DATA, VARIABLE, strings
from rankup_keras.serving import Client, DevelopmentServer, load_session

ROWS = 1000
Columns = dict[str, np.ndarray]


def movielens(_: pathlib.Path) -> tuple[rk.FeatureSet, Columns, dict]:
    data = rk.datasets.movielens_100k(verbose=False)
    return rk.datasets.movielens_features(), *data.train


def frappe(folder: pathlib.Path) -> tuple[rk.FeatureSet, Columns, dict]:
    table = pq.read_table(folder / "frappe.parquet")
    names = [n for n in table.column_names if n not in ("split", "label_used")]
    columns = {n: strings(table[n].to_pylist()) for n in names}
    sides = {n: "candidate" if n in ("item", "cost") else "user" for n in names}
    features = rk.FeatureSet([rk.Categorical(n, side=sides[n]) for n in names])
    return features, columns, {"used": table["label_used"].to_numpy().astype(np.float32)}


def criteo(folder: pathlib.Path) -> tuple[rk.FeatureSet, Columns, dict]:
    table = pq.read_table(folder / "criteo_8k.parquet")
    numbers = [f"I{i}" for i in range(1, 14)]
    names = [f"C{i}" for i in range(1, 27)]
    columns = {n: table[n].to_numpy(zero_copy_only=False).astype(np.float32) for n in numbers}
    columns |= {n: strings(table[n].to_pylist()) for n in names}
    features = rk.FeatureSet(
        [rk.Numeric(n, normalize="log", side="user") for n in numbers]
        + [rk.Categorical(n, hash_buckets=5000) for n in names]
    )
    return features, columns, {"click": table["label_click"].to_numpy().astype(np.float32)}


SETS = {"movielens": movielens, "frappe": frappe, "criteo": criteo}


def gap(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(np.asarray(one).reshape(-1) - np.asarray(other).reshape(-1)).max())


def check(name: str, folder: pathlib.Path) -> dict[str, float]:
    keras.utils.set_random_seed(0)
    features, columns, labels = SETS[name](folder)
    features.adapt(columns)
    model = rk.RankUp(features, list(labels))
    model.compile(rk.optimizers.Split(embeddings="lazy_adam", dense="adam"))
    model.fit(columns, labels, batch_size=1024, epochs=1, verbose=0)
    rows = {n: columns[n][:ROWS] for n in features.raw_spec()}
    wanted = model.predict(rows, batch_size=ROWS, verbose=0)
    tasks = list(wanted)
    gaps: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        base = pathlib.Path(place) / name
        model.save(base.with_suffix(".keras"))
        loaded = keras.saving.load_model(base.with_suffix(".keras"))
        again = loaded.predict(rows, batch_size=ROWS, verbose=0)
        gaps["reloaded .keras"] = max(gap(again[t], wanted[t]) for t in tasks)
        path = rk.export(model, base, warmup=rows)
        with load_session(path) as session:
            served = session.run(rows)
        gaps["export, C API"] = max(gap(served[t], wanted[t]) for t in tasks)
        with (
            DevelopmentServer(base) as server,
            Client(server.address, model=name, timeout=60) as client,
        ):
            answer = client.predict(rows)
            gaps["gRPC serving_default"] = max(gap(answer[t], wanted[t]) for t in tasks)
            classes = client.classify(rows)
            gaps["gRPC classify"] = max(
                gap(np.array([row[t] for row in classes]), wanted[t]) for t in tasks
            )
            for number, task in enumerate(tasks):
                signature = f"regress_{task}" if number else "regress"
                gaps[f"gRPC {signature}"] = gap(client.regress(rows, signature), wanted[task])
            pooling = keras.Model(model.inputs, model.get_layer("pooling").output)
            pooled = pooling.predict(model.encode(rows), batch_size=ROWS, verbose=0)
            first = pooled[0] if isinstance(pooled, list | tuple) else pooled
            gaps["gRPC embed"] = gap(client.embed(rows), first)
            rank_gaps(gaps, client, model, rows)
    return gaps


def rank_gaps(gaps: dict[str, float], client: Client, model: rk.RankUp, rows: Columns) -> None:
    users = [f.name for f in model.features.features if f.side == "user"]
    user = {n: rows[n][0] for n in users}
    candidates = {n: v for n, v in rows.items() if n not in users}
    full = {
        n: np.repeat(np.asarray(rows[n][:1]), ROWS, axis=0) if n in users else rows[n] for n in rows
    }
    wanted = model.predict(full, batch_size=ROWS, verbose=0)
    answer = client.rank(user, candidates)
    gaps["gRPC rank"] = max(gap(answer[t], wanted[t]) for t in wanted)
    order = np.random.default_rng(0).permutation(ROWS)
    worst = 0.0
    for size in (1, 7, 100, 1000):
        some = order[:size]
        part = client.rank(user, {n: v[some] for n, v in candidates.items()})
        worst = max(worst, *(gap(part[t], wanted[t][some]) for t in wanted))
    gaps["rank in other orders and numbers"] = worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--data", type=pathlib.Path, default=os.environ.get(VARIABLE, DATA))
    options = parser.parse_args()
    failed = False
    for name in options.datasets:
        print(f"{name}:")
        for what, value in check(name, pathlib.Path(options.data)).items():
            bound = 1e-5 if what.startswith("rank in") else 1e-6
            failed |= not value <= bound
            print(f"  {what:34s} {value:.1e}{'' if value <= bound else '  TOO FAR APART'}")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
