"""What a GPU should reach with this package, bar by bar, in one command.

    python -m benchmarks.gpu_bars                    # all, at most eight minutes
    python -m benchmarks.gpu_bars --only train step  # the parts that are named, in this order
    python -m benchmarks.gpu_bars --minutes 4        # what can be measured in four
    python -m benchmarks.gpu_bars --tiny             # the same with small models, anywhere

A step, its dense part and `fit` take turns in one process. PyTorch has a process of its own, since
its CUDA libraries need not be TensorFlow's. MFU counts the products of the blocks (of training
three times those of inference) over the bfloat16 rate of the card's data sheet. A figure is
printed, and written to `results/gpu_bars.json` with device, driver and versions, as soon as it is
known: a part that fails, or whose peer is not installed, says so and takes no other with it.
"""

import argparse
import functools
import importlib.util
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

# Not of what these processes do beside it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import measuring

# What was measured, its value, "at least" or "at most", and the bar.
Bar = tuple[str, float, str, float]
Part = Callable[[argparse.Namespace], Iterator[Bar]]
# Seconds in which a process can do anything at all: TensorFlow's import takes ten.
ENOUGH = 20


def flops_of_card() -> float:
    """bfloat16 operations a second of the GPU at hand; of an H100 where there is none."""
    from rankup_keras.distribution.gpu.cards import CARDS

    name = measuring.gpu().get("gpu", "h100").lower().replace("h200", "h100")
    known = [card.flops for key, card in CARDS.items() if key in re.split(r"[\s-]", name)]
    if not known:
        raise SystemExit(f"MFU needs the rate of one of {sorted(CARDS)}. This card is {name!r}.")
    return known[0]


def run(o: argparse.Namespace, module: str, *options: str, **environment: str) -> Any:
    """What a module prints in a process that ends with the time that is left."""
    left = o.until - time.monotonic()
    if left < ENOUGH:
        raise SystemExit("no time is left for it")
    return measuring.in_fresh_process(module, *options, environment=environment, timeout=left)


def stack(
    o: argparse.Namespace, shape: str, batch: int, task: str, mfu: float, peer: float | None
) -> Iterator[Bar]:
    """The dense stack's MFU, and its speed over `torch.compile`."""
    options = ["--one", "--alone", "--shape", shape, "--batch", str(batch), "--dtype", "bfloat16"]
    options += ["--task", task, "--contenders"]
    measured = functools.partial(run, o, "benchmarks.dense_stack", *options)
    card, what = flops_of_card(), f"stack {shape}, batch {batch}, {task}"
    found = measured("rankup_keras")
    own = found["rankup_keras"]["median_ms"]
    yield f"{what}: MFU", found["gflop_a_step"] / own * 1e12 / card, "at least", mfu
    if peer is None:
        return
    if importlib.util.find_spec("torch") is None:
        print(f"{what}: PyTorch is not installed, nothing to compare with", flush=True)
        return
    try:
        found = measured("torch_compile")
    except SystemExit as error:
        if not os.environ.get("LD_LIBRARY_PATH"):
            raise
        print(f"{error}\nAgain without LD_LIBRARY_PATH: PyTorch has its own libraries", flush=True)
        found = measured("torch_compile", LD_LIBRARY_PATH="")
    times = found["torch_compile"]["median_ms"] / own
    yield f"{what}: torch.compile's time over ours", times, "at least", peer


def gpu_step(o: argparse.Namespace, *options: str) -> dict[str, float]:
    """Median milliseconds by contender; what was measured before is not measured again."""
    if options not in o.measured:
        found = run(o, "benchmarks.gpu_step", "--one", *size(o), "--steps", str(o.steps), *options)
        times = {name: t["median_ms"] for name, t in found.items() if isinstance(t, dict)}
        o.measured[options] = times
    return o.measured[options]


def step(o: argparse.Namespace) -> Iterator[Bar]:
    """A whole step against its dense part, and `fit` against the step."""
    found = gpu_step(o)
    yield "step, ms", found["step"], "at most", 5.0
    yield "step over its dense part", found["step"] / found["dense part"], "at most", 1.5
    yield "step's time over that of fit", found["step"] / found["fit"], "at least", 0.9


def prefetch(o: argparse.Namespace) -> Iterator[Bar]:
    """`fit` with batches copied ahead."""
    found = gpu_step(o, "--prefetch", "--contenders", "fit", "step")
    yield "with --prefetch", found["step"] / found["fit"], "at least", 0.9


def rows(o: argparse.Namespace) -> Iterator[Bar]:
    """A step by the number of rows of its table."""
    small, large = (10**3, 10**4) if o.tiny else (100_000, 20_000_000)
    times = [
        gpu_step(o, "--fields", "3", "--rows", str(count), "--contenders", "step")["step"]
        for count in (small, large)
    ]
    yield f"step at {large:,} rows over {small:,}", times[1] / times[0], "at most", 1.5


def mirrored(o: argparse.Namespace) -> Iterator[Bar]:
    """`fit` under `MirroredStrategy`."""
    times = gpu_step(o, "--mirrored")["fit"] / gpu_step(o)["fit"]
    yield "MirroredStrategy over none", times, "at most", 1.1


def size(o: argparse.Namespace) -> list[str]:
    if not o.tiny:
        return []
    return ["--preset", "rankup_small", "--fields", "4", "--rows", "1000", "--batch", "64"]


def exported(o: argparse.Namespace) -> Iterator[Bar]:
    """An export from this device, in a process without GPUs, against the model there."""
    with tempfile.TemporaryDirectory() as folder:
        path = run(o, "benchmarks.gpu_bars", "--export", folder)
        compared = ("--compare", folder, path)
        found = run(o, "benchmarks.gpu_bars", *compared, CUDA_VISIBLE_DEVICES="-1")
    yield "export on a CPU, off the model there", found["model"], "at most", 1e-6
    # Ten bits of TF32, over layers.
    yield "export on a CPU, off the model here", found["here"], "at most", 5e-3


def export(folder: str) -> None:
    """Trains a model on this device, exports it, and keeps what it scores; prints the path."""
    import keras

    import rankup_keras as rk
    from benchmarks.gpu_step import TASKS, model_of, options_of, rows_of

    measuring.on_gpu()
    asked = options_of(["--preset", "rankup_small", "--fields", "4", "--rows", "1000"])
    keras.utils.set_random_seed(0)
    model, data = model_of(asked), rows_of(256, 4, 1000)
    labels = {task: data.pop(task) for task in TASKS}
    model.fit(data, labels, verbose=0)
    path = rk.export(model, f"{folder}/served", warmup=data)
    model.save(f"{folder}/model.keras")
    here = model.predict(data, verbose=0)
    np.savez(f"{folder}/here.npz", **{task: here[task][:, 0] for task in here})
    print(json.dumps(str(path)))


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

    def part(o: argparse.Namespace) -> Iterator[Bar]:
        asked = ("16,64,1,2", batch // 64) if o.tiny else (shape, batch)
        return stack(o, *asked, task, mfu, peer)

    return part


# Hidden layers of 2,176 and 5,600.
LARGE, LARGER = "16,768,2,2.8333", "32,1536,2,3.6458"
PARTS: dict[str, Part] = {
    "train": dense(LARGE, 4096, "train", 0.40, 1.3),
    "step": step,
    "infer": dense(LARGE, 4096, "infer", 0.45),
    "infer_small": dense(LARGE, 512, "infer", 0.25),
    "export": exported,
    "rows": rows,
    "mirrored": mirrored,
    "train_larger": dense(LARGER, 2048, "train", 0.50),
    "prefetch": prefetch,
}


def bars_of(name: str, o: argparse.Namespace) -> dict[str, Any]:
    """Measures a part and says what it finds; what it found before it failed is kept."""
    found: dict[str, Any] = {}
    started = time.monotonic()
    try:
        for what, value, sense, bar in PARTS[name](o):
            met = bool(value <= bar if sense == "at most" else value >= bar)
            word = "met   " if met else "MISSED"
            print(f"{word} {what}: {value:.4g} ({sense} {bar})", flush=True)
            found[what] = {"value": value, "bar": f"{sense} {bar}", "met": met}
    except (Exception, SystemExit) as error:
        o.failed.append(name)
        print(f"FAILED {name}: {error or type(error).__name__}", flush=True)
    print(f"       {name} took {time.monotonic() - started:.0f} s", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=8, help="all must end within")
    parser.add_argument("--steps", type=int, default=200, help="of an epoch")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--export", help=argparse.SUPPRESS)
    parser.add_argument("--compare", nargs=2, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.export or o.compare:
        # One of the two processes of `exported`.
        export(o.export) if o.export else compare(*o.compare)
        return 0
    card = measuring.gpu().get("gpu")
    if card is None and not o.tiny:
        raise SystemExit("nvidia-smi names no GPU. With --tiny small models run anywhere.")
    o.until, o.measured, o.failed = time.monotonic() + 60 * o.minutes, {}, []
    print(f"{card or 'CPU'}: {', '.join(o.only)}; at most {o.minutes:g} minutes", flush=True)
    found: dict[str, Any] = {}
    for name in o.only:
        found |= bars_of(name, o)
        if found and not o.tiny:
            measuring.record("gpu_bars", found)
    missed = [what for what, bar in found.items() if not bar["met"]]
    print(f"{len(found) - len(missed)} met, {len(missed)} missed; failed: {o.failed}", flush=True)
    return 1 if missed or o.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
