"""What a GPU should reach with this package, bar by bar, in one command.

    python -m benchmarks.gpu_bars                   # all, some minutes on an H100
    python -m benchmarks.gpu_bars --only step rows  # the parts that are named
    python -m benchmarks.gpu_bars --tiny            # the same with small models, anywhere

Ratios are of one process, in which contenders take turns. MFU counts the products of the blocks (of
training three times those of inference) over the bfloat16 rate of the card's data sheet. A bar
whose peer is not installed is left out, and said so. `results/gpu_bars.json` has the figures with
device, driver and versions.
"""

import argparse
import importlib.util
import json
import re
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import measuring

Bar = tuple[str, float, str, float]
Part = Callable[[argparse.Namespace], list[Bar]]


def flops_of_card() -> float:
    """bfloat16 operations a second of the GPU at hand; of an H100 where there is none."""
    from rankup_keras.distribution.gpu.cards import CARDS

    name = measuring.gpu().get("gpu", "h100").lower().replace("h200", "h100")
    known = [card.flops for key, card in CARDS.items() if key in re.split(r"[\s-]", name)]
    if not known:
        raise SystemExit(f"MFU needs the rate of one of {sorted(CARDS)}. This card is {name!r}.")
    return known[0]


def stack(shape: str, batch: int, task: str, mfu: float, peer: float | None = None) -> list[Bar]:
    """The dense stack's MFU, and its speed over `torch.compile`."""
    names = ["rankup_keras"]
    if peer is not None:
        if importlib.util.find_spec("torch") is None:
            print(f"stack {shape}: PyTorch is not installed, nothing to compare with", flush=True)
        else:
            names.append("torch_compile")
    options = ["--one", "--shape", shape, "--batch", str(batch), "--dtype", "bfloat16"]
    options += ["--task", task, "--contenders", *names]
    found = measuring.in_fresh_process("benchmarks.dense_stack", *options)
    own, what = found["rankup_keras"]["median_ms"], f"stack {shape}, batch {batch}, {task}"
    reached = found["gflop_a_step"] / own * 1e12 / flops_of_card()
    bars: list[Bar] = [(f"{what}: MFU", reached, "at least", mfu)]
    if "torch_compile" in names and peer is not None:
        times = found["torch_compile"]["median_ms"] / own
        bars.append((f"{what}: torch.compile's time over ours", times, "at least", peer))
    return bars


def gpu_step(*options: str) -> dict[str, float]:
    """Median milliseconds by contender."""
    found = measuring.in_fresh_process("benchmarks.gpu_step", "--one", *options)
    return {name: times["median_ms"] for name, times in found.items() if isinstance(times, dict)}


def step(o: argparse.Namespace) -> list[Bar]:
    """A whole step against its dense part, and `fit` against the step."""
    found = gpu_step(*size(o), "--steps", str(o.steps))
    ahead = gpu_step(*size(o), "--steps", str(o.steps), "--prefetch")
    return [
        ("step, ms", found["step"], "at most", 5.0),
        ("step over its dense part", found["step"] / found["dense part"], "at most", 1.5),
        ("step's time over that of fit", found["step"] / found["fit"], "at least", 0.9),
        ("with --prefetch", ahead["step"] / ahead["fit"], "at least", 0.9),
    ]


def rows(o: argparse.Namespace) -> list[Bar]:
    """A step by the number of rows of its table."""
    small, large = (10**3, 10**4) if o.tiny else (100_000, 20_000_000)
    times = [
        gpu_step(*size(o), "--fields", "3", "--rows", str(count), "--steps", str(o.steps))["step"]
        for count in (small, large)
    ]
    return [(f"step at {large:,} rows over {small:,}", times[1] / times[0], "at most", 1.5)]


def mirrored(o: argparse.Namespace) -> list[Bar]:
    """`fit` under `MirroredStrategy`."""
    alone, one = (
        gpu_step(*size(o), "--steps", str(o.steps), *extra)["fit"] for extra in ([], ["--mirrored"])
    )
    return [("MirroredStrategy over none", one / alone, "at most", 1.1)]


def size(o: argparse.Namespace) -> list[str]:
    if not o.tiny:
        return []
    return ["--preset", "rankup_small", "--fields", "4", "--rows", "1000", "--batch", "64"]


def exported(o: argparse.Namespace) -> list[Bar]:
    """An export from this device, in a process without GPUs, against the model there."""
    import keras

    import rankup_keras as rk
    from benchmarks.gpu_step import TASKS, model_of, options_of, rows_of

    asked = options_of(["--preset", "rankup_small", "--fields", "4", "--rows", "1000"])
    keras.utils.set_random_seed(0)
    model, data = model_of(asked), rows_of(256, 4, 1000)
    labels = {task: data.pop(task) for task in TASKS}
    model.fit(data, labels, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = rk.export(model, f"{folder}/served", warmup=data)
        model.save(f"{folder}/model.keras")
        here = model.predict(data, verbose=0)
        np.savez(f"{folder}/here.npz", **{task: here[task][:, 0] for task in here})
        apart = {"CUDA_VISIBLE_DEVICES": ""}
        options = ("--compare", folder, str(path))
        found = measuring.in_fresh_process("benchmarks.gpu_bars", *options, environment=apart)
    return [
        ("export on a CPU, off the model there", found["model"], "at most", 1e-6),
        # Ten bits of TF32, over layers.
        ("export on a CPU, off the model here", found["here"], "at most", 5e-3),
    ]


def compare(folder: str, path: str) -> None:
    """The largest differences of an export's scores, as JSON."""
    import keras

    from benchmarks.gpu_step import TASKS, rows_of
    from rankup_keras.serving import load_session

    data = rows_of(256, 4, 1000)
    for task in TASKS:
        del data[task]
    model = keras.saving.load_model(f"{folder}/model.keras")
    there, here = model.predict(data, verbose=0), np.load(f"{folder}/here.npz")
    width = max(map(len, data["history"]))
    lists = [row + [-1] * (width - len(row)) for row in data["history"]]
    with load_session(path) as session:
        served = session.run({**data, "history": np.array(lists)})
    off = {
        "model": max(np.abs(served[t] - there[t][:, 0]).max() for t in TASKS),
        "here": max(np.abs(served[t] - here[t]).max() for t in TASKS),
    }
    print(json.dumps({name: float(value) for name, value in off.items()}))


def dense(shape: str, batch: int, task: str, mfu: float, peer: float | None = None) -> Part:
    """`stack`, of a size that runs anywhere with `--tiny`."""

    def part(o: argparse.Namespace) -> list[Bar]:
        return stack(*(("16,64,1,2", batch // 64) if o.tiny else (shape, batch)), task, mfu, peer)

    return part


# Hidden layers of 2,176 and 5,600.
LARGE, LARGER = "16,768,2,2.8333", "32,1536,2,3.6458"
PARTS: dict[str, Part] = {
    "train": dense(LARGE, 4096, "train", 0.40, 1.3),
    "train_larger": dense(LARGER, 2048, "train", 0.50),
    "infer": dense(LARGE, 4096, "infer", 0.45),
    "infer_small": dense(LARGE, 512, "infer", 0.25),
    "step": step,
    "rows": rows,
    "mirrored": mirrored,
    "export": exported,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(PARTS))
    parser.add_argument("--steps", type=int, default=100, help="of an epoch")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--compare", nargs=2, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.compare:
        compare(*o.compare)
        return 0
    found: dict[str, Any] = {}
    for name in o.only or PARTS:
        for what, value, sense, bar in PARTS[name](o):
            met = value <= bar if sense == "at most" else value >= bar
            print(
                f"{'met   ' if met else 'MISSED'} {what}: {value:.4g} ({sense} {bar})", flush=True
            )
            found[what] = {"value": value, "bar": f"{sense} {bar}", "met": bool(met)}
    if not o.tiny:
        measuring.record("gpu_bars", found)
    return 0 if all(bar["met"] for bar in found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
