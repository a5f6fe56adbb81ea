"""How time and memory grow with everything that a ranking model has more or less of.

    python -m benchmarks.growth               # about 6 minutes; draws docs/images/growth.png
    python -m benchmarks.growth --short       # three sizes along two axes, no picture
    python -m benchmarks.growth --axis tokens fields

RankUp of 16 tokens of width 128 and two blocks, batch 1024; one number at a time is changed. Every
point has a process of its own, which trains (`fit`, `Split`) and infers (a `tf.function`, as an
exported signature is) on one encoded batch, and reports the most memory that it held above what
importing takes. Points of one axis come in turns, `--rounds` times.

- `exponent`: the slope of log(time) against log(size), fitted over all points of the axis; the
  stack's products have that of theory.
- `bend`: how far the points lie from the best `a + b size^n`, n by theory, as a share of time. A
  cost with a fixed part, such as fields beside a stack of fixed size, has a small exponent, and is
  still linear where the bend is small.
"""

import argparse
import json
import os
import statistics
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import measuring
from benchmarks.measuring import peak_mib

BASE = {
    "batch": 1024,
    "tokens": 16,
    "width": 128,
    "blocks": 2,
    "fields": 26,
    "sequence": 20,
    "tasks": 2,
}
# Sizes, and the degree of the time in them by theory; a width counts twice in every product.
AXES: dict[str, tuple[tuple[int, ...], int]] = {
    "batch": ((256, 512, 1024, 2048, 4096), 1),
    "tokens": ((8, 16, 32, 64), 1),
    "width": ((64, 128, 256, 512), 2),
    "blocks": ((1, 2, 4, 8), 1),
    "fields": ((26, 52, 104, 208), 1),
    "sequence": ((20, 80, 160, 320), 1),
    "tasks": ((1, 2, 4, 8), 1),
}
# What else a size needs: a sparse token takes at least one field.
BESIDE = {"tokens": {"fields": 104}}
LABELS = {
    "batch": "batch B",
    "tokens": "tokens T",
    "width": "width D",
    "blocks": "blocks L",
    "fields": "fields",
    "sequence": "history, items",
    "tasks": "tasks",
}
MEASURES = {"train": "training step, ms", "infer": "inference, ms", "memory": "peak memory, MiB"}


def point(size: dict[str, int], seconds: float) -> dict[str, float]:
    """Milliseconds per step of training and of inference, and MiB, in this process."""
    import keras
    import tensorflow as tf

    import rankup_keras as rk

    keras.utils.set_random_seed(0)
    before = peak_mib()
    features = rk.FeatureSet(
        [rk.Categorical(f"c{i}", hash_buckets=10_000) for i in range(size["fields"])]
        + [rk.History("history", of="c0", max_length=size["sequence"])]
    )
    names = [f"task_{i}" for i in range(size["tasks"])]
    # A global, a sequence and the task tokens are among the tokens. One table set.
    sparse = size["tokens"] - 2 - size["tasks"]
    model = rk.RankUp(
        features,
        names,
        token_dim=size["width"],
        num_sparse_tokens=sparse,
        num_blocks=size["blocks"],
        multi_embedding=False,
    )
    model.compile(rk.optimizers.Split(), metrics=[])
    rng = np.random.default_rng(0)
    slots = size["fields"] + size["sequence"]
    x = {"encoded_ids": rng.integers(1, 10_000, (size["batch"], slots)).astype("int32")}
    y = {name: rng.integers(0, 2, (size["batch"], 1)).astype("float32") for name in names}
    options = tf.data.Options()
    options.autotune.enabled = False
    batch = tf.data.Dataset.from_tensors((x, y)).cache().repeat().with_options(options)
    fixed = {name: tf.constant(value) for name, value in x.items()}
    # Any batch, as in an export.
    spec = {name: tf.TensorSpec((None, slots), value.dtype) for name, value in fixed.items()}
    call = tf.function(
        lambda ids: model(ids, training=False), autograph=False, input_signature=[spec]
    )

    def train(steps: int) -> None:
        model.fit(batch, steps_per_epoch=steps, verbose=0)

    def infer(steps: int) -> None:
        for _ in range(steps):
            call(fixed)

    found = {}
    for name, run in (("infer", infer), ("train", train)):
        run(2)
        began = time.perf_counter()
        run(2)
        steps = max(3, round(seconds / 3 / ((time.perf_counter() - began) / 2)))
        times = []
        for _ in range(3):
            began = time.perf_counter()
            run(steps)
            times.append(1e3 * (time.perf_counter() - began) / steps)
        found[name] = round(statistics.median(times), 3)
    found["memory"] = round(peak_mib() - before, 1)
    return found


def measured(axis: str, sizes: list[int], rounds: int, seconds: float) -> dict[str, Any]:
    """The medians of every size along one axis."""
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            setting = json.dumps({**BASE, **BESIDE.get(axis, {}), axis: size})
            one = ("--one", setting, "--seconds", str(seconds))
            found[size].append(measuring.in_fresh_process("benchmarks.growth", *one))
    result: dict[str, Any] = {"sizes": sizes}
    for measure in MEASURES:
        values = [statistics.median(turn[measure] for turn in found[size]) for size in sizes]
        result[measure] = values
        result[f"{measure}_exponent"] = round(exponent(sizes, values), 2)
        # Activations, the most of it, grow with the width; weights with its square.
        degree = 1 if measure == "memory" else AXES[axis][1]
        result[f"{measure}_bend"] = round(bend(sizes, values, degree), 3)
    return result


def exponent(sizes: list[int], values: list[float]) -> float:
    """Slope of the line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def bend(sizes: list[int], values: list[float], degree: int) -> float:
    """Largest distance from `a + b size^degree`, relative to the value there, weighted alike."""
    design = np.stack([np.ones(len(sizes)), np.array(sizes, float) ** degree], axis=1)
    target = np.array(values)
    weights = 1 / target
    fitted, *_ = np.linalg.lstsq(design * weights[:, None], target * weights, rcond=None)
    return float(np.abs(design @ fitted / target - 1).max())


def table(results: dict[str, Any]) -> str:
    """Every axis as a row of Markdown."""
    lines = [
        "| along | sizes | theory | training | inference | memory |",
        "|---|---|---|---|---|---|",
    ]
    for axis, (_, degree) in AXES.items():
        if axis not in results:
            continue
        found = results[axis]
        cells = [
            f"{found[m][0]:g} to {found[m][-1]:g}; {found[f'{m}_exponent']:.2f} "
            f"({found[f'{m}_bend']:.0%})"
            for m in MEASURES
        ]
        sizes = ", ".join(map(str, found["sizes"]))
        lines.append(f"| {LABELS[axis]} | {sizes} | {degree} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: dict[str, Any], path: str) -> None:
    """Time and memory along every axis, both axes logarithmic."""
    import matplotlib.pyplot as plt

    axes = [axis for axis in AXES if axis in results]
    figure, panels = plt.subplots(
        2, len(axes), figsize=(2.6 * len(axes), 5), sharey="row", squeeze=False
    )
    for column, axis in enumerate(axes):
        found = results[axis]
        sizes = found["sizes"]
        time_panel, memory_panel = panels[0][column], panels[1][column]
        for measure in ("train", "infer"):
            label = f"{MEASURES[measure]}: {found[f'{measure}_exponent']:.2f}"
            time_panel.plot(sizes, found[measure], "o-", label=label)
        degree = AXES[axis][1]
        guide = [found["train"][-1] * (size / sizes[-1]) ** degree for size in sizes]
        time_panel.plot(sizes, guide, ":", color="gray", label=f"size^{degree}")
        memory_panel.plot(sizes, found["memory"], "o-", color="tab:green")
        time_panel.set_title(LABELS[axis])
        time_panel.legend(fontsize=6)
        for panel in (time_panel, memory_panel):
            panel.set(xscale="log", yscale="log")
            panel.set_xticks(sizes, [str(size) for size in sizes])
            panel.minorticks_off()
            panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("ms per step")
    panels[1][0].set_ylabel(MEASURES["memory"])
    figure.tight_layout()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--axis", nargs="+", default=list(AXES), choices=list(AXES))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2, help="of steps, at every point")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.one:
        print(json.dumps(point(json.loads(o.one), o.seconds)))
        return
    name = "growth_short" if o.short else "growth"
    path = measuring.RESULTS / f"{name}.json"
    if not o.table:
        axes = ["batch", "fields"] if o.short else o.axis
        for axis in axes:
            sizes = list(AXES[axis][0])
            sizes = sizes[:3] if o.short else sizes
            found = measured(axis, sizes, o.rounds, 0.5 if o.short else o.seconds)
            print(f"{axis}: {found}", flush=True)
            measuring.record(name, {axis: found})
    results = json.loads(path.read_text())
    print(table(results))
    if not o.short:
        draw(results, "docs/images/growth.png")


if __name__ == "__main__":
    main()
