"""An exported graph against its matrix products alone, and what each signature costs by batch.

    python -m benchmarks.served_graph               # about 3 minutes
    python -m benchmarks.served_graph --short
    python -m benchmarks.served_graph --device gpu  # an export for GPUs, on one

RankMixer's stack as published (post-norm, exact GELU) behind T categorical fields, half of them the
user's, exported by `rk.export` and run in a C++ session, as a server runs it: raw columns in,
probabilities out. The products are those of the blocks, by `tf.matmul`, and take turns with the
signatures at `--candidates` rows; `of_products` is a signature's time over theirs. Then every
signature at batches of 1 to 1000 rows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import measuring

SHAPES = ("16,256,2,4", "32,512,2,2")
SIGNATURES = ("serving_default", "rank", "embed", "classify", "regress")
BATCHES = (1, 10, 100, 500, 1000)
BUCKETS = 100_000
Columns = dict[str, np.ndarray]


def export(
    folder: Path, tokens: int, width: int, blocks: int, expansion: int, device: str = "cpu"
) -> tuple[Any, Path]:
    """An exported model of random weights, and where it lies."""
    import rankup_keras as rk

    sides = ["user" if i < tokens // 2 else "candidate" for i in range(tokens)]
    features = rk.FeatureSet(
        [rk.Categorical(f"c{i}", hash_buckets=BUCKETS, side=side) for i, side in enumerate(sides)]
    )
    model = rk.RankMixer(
        features,
        ["y"],
        token_dim=width,
        num_tokens=tokens,
        num_blocks=blocks,
        expansion=expansion,
    )
    rows = rows_of(tokens, 64)
    return model, rk.export(model, folder / "ranker", warmup=rows, batch_sizes=(1,), device=device)


def rows_of(tokens: int, count: int) -> Columns:
    """Raw columns of one user and `count` candidates."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, BUCKETS, (count, tokens)).astype("S8").astype(object)
    words[:, : tokens // 2] = words[:1, : tokens // 2]
    return {f"c{i}": words[:, i] for i in range(tokens)}


def cell(
    shape: list[int], candidates: int, rounds: int, batches: list[int], device: str
) -> dict[str, Any]:
    """One shape, in this process."""
    from benchmarks.dense_stack import rate_of
    from rankup_keras.serving import load_session
    from rankup_keras.serving.exporting.rank_inputs import RankInputs
    from rankup_keras.serving.exporting.signatures import request_columns

    tokens, width, blocks, expansion = shape
    with tempfile.TemporaryDirectory() as folder:
        model, path = export(Path(folder), *shape, device=device)
        inputs = RankInputs(model.features)
        with load_session(path, use_gpu=device == "gpu") as session:

            def calls(count: int) -> dict[str, Callable[[], Any]]:
                rows = rows_of(tokens, count)
                asked = {name: request_columns(name, rows, inputs) for name in SIGNATURES}
                return {
                    name: lambda name=name, columns=columns: session.run(columns, name)
                    for name, columns in asked.items()
                }

            one_block = rate_of(tokens, width, expansion * width, candidates, "float32")
            turns = calls(candidates)
            turns["products"] = lambda: [one_block() for _ in range(blocks)]
            seconds = measuring.in_turns(turns, rounds, warm_up=3)
            result: dict[str, Any] = {"candidates": candidates}
            result.update({name: measuring.summary(values) for name, values in seconds.items()})
            products = result["products"]["median_ms"]
            for name in SIGNATURES:
                result[name]["of_products"] = round(result[name]["median_ms"] / products, 3)
            result["by_batch"] = {}
            for count in batches:
                times = measuring.in_turns(calls(count), rounds, warm_up=3)
                result["by_batch"][str(count)] = {
                    name: measuring.summary(values)["median_ms"] for name, values in times.items()
                }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", nargs="+", default=list(SHAPES), help="T,D,L,k")
    parser.add_argument("--candidates", type=int, default=500)
    parser.add_argument("--batches", nargs="*", type=int, default=list(BATCHES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.one:
        shape = [int(n) for n in o.shape[0].split(",")]
        print(json.dumps(cell(shape, o.candidates, o.rounds, o.batches, o.device)))
        return
    if o.short:
        o.shape, o.rounds, o.batches = o.shape[:1], 5, [1, 100]
    for shape in o.shape:
        run_cell(shape, o)


def run_cell(shape: str, o: Any) -> None:
    command = [sys.executable, "-m", "benchmarks.served_graph", "--one", "--shape", shape]
    command += ["--candidates", str(o.candidates), "--rounds", str(o.rounds), "--device", o.device]
    command += ["--batches", *map(str, o.batches)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shape} failed:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    key = f"T,D,L,k {shape}"
    print(f"{key}, {o.candidates} candidates: products {found['products']['median_ms']} ms")
    for name in SIGNATURES:
        by_batch = {count: times[name] for count, times in found["by_batch"].items()}
        print(
            f"  {name}: {found[name]['median_ms']} ms, {found[name]['of_products']} of the "
            f"products; ms by batch {by_batch}",
            flush=True,
        )
    name = "served_graph" if o.device == "cpu" else "served_graph_gpu"
    measuring.record(f"{name}_short" if o.short else name, {key: found})


if __name__ == "__main__":
    main()
