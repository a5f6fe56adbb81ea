"""Training and inference of the dense stack, as shares of the machine's batched-matmul rate.

    python -m benchmarks.dense_stack                      # every cell, about 15 minutes
    python -m benchmarks.dense_stack --short              # the smallest cell
    python -m benchmarks.dense_stack --shape 16,256,2,4 --batch 2048 --dtype bfloat16 --task infer

RankMixer's blocks as published (post-norm, exact GELU, biases), float32 weights, the mean over
tokens and one logit. Training goes through `fit`, with loss and Adam; inference through a
`tf.function` as an exported signature is; in bfloat16 this package's exports hold their kernels
cast, and Keras's casts them in every call. The rate is that of `tf.matmul` on the two products of
a block, measured in every round between the contenders, with which it takes turns. A cell has a
process of its own, and its result stays in `results/dense_stack.json`, so that an interrupted run
resumes where it stopped (`--again` measures anew). `ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16` measures
as on a processor without AMX.

Peers, the same model: plain Keras (EinsumDense and `fit`, Keras's Adam; as a graph and with XLA),
PyTorch (eager, and `torch.compile`, which needs a C++ compiler) with its fused Adam.
"""

import argparse
import contextlib
import importlib
import json
import os
import statistics
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks import measuring
from benchmarks.gpu_step import by_itself

SHAPES = ("16,256,2,4", "32,512,2,2")
# oneDNN's own limit on instructions, which PyTorch's obeys as well.
ISA = os.environ.get("ONEDNN_MAX_CPU_ISA")
CONTENDERS = ("rankup_keras", "keras", "keras_xla", "torch", "torch_compile")
Steps = tuple[Callable[[], Any], Callable[[], Any]]


def data(tokens: int, width: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, tokens, width)).astype(np.float32)
    return x, rng.integers(0, 2, (batch, 1)).astype(np.float32)


def own_stack(tokens: int, width: int, blocks: int, expansion: float) -> Any:
    """The package's stack behind an input (batch, T, D)."""
    import keras

    from rankup_keras.layers.tokens import TokenAssembly
    from rankup_keras.layers.towers import TaskTowers, TokenPooling
    from rankup_keras.models.stack import mixer_stack

    policy = keras.config.dtype_policy()
    inputs = keras.Input((tokens, width))
    x = TokenAssembly(name="tokens")([inputs])
    settings = {"expansion": expansion}
    x = mixer_stack(x, blocks, "gelu", settings, policy, placement="post", norm="layer_norm")
    pooled = TokenPooling("mean")(x)
    return keras.Model(inputs, TaskTowers(["y"])(pooled)["y"])


def by_keras(
    model: Any, optimizer: Any, x: Any, y: Any, steps: int, jit: bool, held: Any = None
) -> Steps:
    import tensorflow as tf

    from rankup_keras.features.autotuning import without_autotuner

    model.compile(optimizer, "binary_crossentropy", jit_compile=jit)
    batch = without_autotuner(tf.data.Dataset.from_tensors((x, y)).cache().repeat(steps))
    fixed, labels = tf.constant(x), tf.constant(y)

    def scores(t: Any) -> Any:
        with held.scope() if held else contextlib.nullcontext():
            return model(t, training=False)

    def fit() -> None:
        model.fit(batch, epochs=1, verbose=0, shuffle=False)

    call = tf.function(
        scores,
        jit_compile=jit,
        autograph=False,
        # Any batch, as in an export; XLA would compile for each.
        input_signature=[tf.TensorSpec((None, *x.shape[1:]))],
    )

    def infer() -> None:
        for _ in range(steps):
            found = call(fixed)
        found[0].numpy()  # waits for a GPU

    if not measuring.on_gpu():
        return fit, infer
    # The step of `fit`, its batch on the GPU: tokens come from tables there, not from the host.
    return by_itself(model, (fixed, labels), steps, jit), infer


def rate_of(
    tokens: int, width: int, hidden: int, batch: int, dtype: str, times: int = 1
) -> Callable[[], Any]:
    """The two products of one block, so many times."""
    import tensorflow as tf

    def random(*shape: int) -> Any:
        return tf.cast(tf.random.normal(shape), dtype)

    x, h = random(tokens, batch, width), random(tokens, batch, hidden)
    up, down = random(tokens, width, hidden), random(tokens, hidden, width)
    first = tf.function(lambda: tf.matmul(x, up), autograph=False)
    second = tf.function(lambda: tf.matmul(h, down), autograph=False)

    def products() -> None:
        for _ in range(times):
            first()
            found = second()
        found[0, 0, 0].numpy()  # waits for a GPU

    return products


def steps_of(flops: float, on_gpu: bool) -> int:
    """Steps of a round: enough for what happens once in it not to matter.

    On CPUs that is what `fit` does around the steps; on a GPU the wait for the last of them, which
    is as long as a small batch takes.
    """
    if on_gpu:
        return min(100, max(20, round(1e14 / flops)))
    return min(50, max(1, round(2e11 / flops)))


def contenders(
    shape: list[float], batch: int, dtype: str, names: list[str], on_gpu: bool
) -> dict[str, Steps]:
    tokens, width, blocks, expansion = *map(int, shape[:3]), shape[3]
    hidden = round(expansion * width)
    x, y = data(tokens, width, batch)
    steps = steps_of(12 * blocks * tokens * batch * width * hidden, on_gpu)
    made: dict[str, Any] = {"steps": steps}
    for name in names:
        if name.startswith("torch"):
            from benchmarks.peers import torch_stack

            compiled = name == "torch_compile"
            made[name] = torch_stack.contender(
                x, y, blocks, hidden, dtype == "bfloat16", compiled, steps
            )
        elif name == "rankup_keras":
            from rankup_keras.optimizers import Split
            from rankup_keras.serving.exporting.precast_kernels import PrecastKernels

            own = own_stack(tokens, width, blocks, expansion)
            # What `compile` chooses: XLA on a GPU, none on CPUs.
            held = None if on_gpu else PrecastKernels(own)
            made[name] = by_keras(own, Split(dense="adam"), x, y, steps, jit=on_gpu, held=held)
        else:
            from benchmarks.peers import keras_stack

            peer = keras_stack.stack(tokens, width, blocks, hidden)
            made[name] = by_keras(peer, "adam", x, y, steps, jit=name == "keras_xla")
    return made


def prepared(names: list[str], dtype: str) -> bool:
    """Imports what the contenders want, in an order that works; whether there is a GPU."""
    torch = [name for name in names if name.startswith("torch")]
    if torch:
        # Before TensorFlow: Triton, which comes with it, crashes where TensorFlow is there first.
        importlib.import_module("torch._dynamo")
    if len(torch) == len(names):
        # Without TensorFlow, whose CUDA libraries need not be PyTorch's.
        return bool(measuring.gpu())
    import keras

    if dtype == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    return measuring.on_gpu()


def cell(
    shape: list[float],
    batch: int,
    dtype: str,
    task: str,
    names: list[str],
    rounds: int,
    alone: bool = False,
) -> Any:
    """One cell of the table, in this process; `alone`: times without the rate of products."""
    tokens, width, blocks, expansion = *map(int, shape[:3]), shape[3]
    on_gpu = prepared(names, dtype)
    made: dict[str, Any] = contenders(shape, batch, dtype, names, on_gpu)
    steps = made.pop("steps")
    hidden = round(expansion * width)
    turns: dict[str, Callable[[], Any]] = {}
    times = 20 if on_gpu else 1
    if not alone:
        turns["products"] = rate = rate_of(tokens, width, hidden, batch, dtype, times)
    for name, (train, infer) in made.items():
        turns[name] = train if task == "train" else infer
        if not alone:
            # The rate before and after each: a machine's clock and neighbors change.
            turns[f"products after {name}"] = rate
    seconds = measuring.in_turns(turns, rounds, warm_up=2)
    flops = 4 * tokens * batch * width * hidden
    passes = blocks * (3 if task == "train" else 1)
    result: dict[str, Any] = {"steps_a_round": steps, "gflop_a_step": flops * passes / 1e9}
    for name in names:
        result[name] = measuring.summary([s / steps for s in seconds[name]])
    if alone:
        return result
    products = [
        s / times for name, values in seconds.items() if name.startswith("products") for s in values
    ]
    peak = flops / statistics.median(products)
    result |= {"matmul_gflops": round(peak / 1e9, 1), "matmul": measuring.summary(products)}
    for name in names:
        share = flops * passes * steps / statistics.median(seconds[name]) / peak
        result[name] = {"share": round(share, 3), **result[name]}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", nargs="+", default=list(SHAPES), help="T,D,L,k")
    parser.add_argument("--batch", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--task", nargs="+", default=["train", "infer"])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--table", action="store_true", help="print what was measured")
    parser.add_argument("--again", action="store_true", help="measure what is there already")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.table:
        print(table(json.loads((measuring.RESULTS / "dense_stack.json").read_text())))
        return
    if o.one:
        shape = [float(n) for n in o.shape[0].split(",")]
        one = (shape, o.batch[0], o.dtype[0], o.task[0], o.contenders, o.rounds, o.alone)
        print(json.dumps(cell(*one)))
        return
    if o.short:
        o.shape, o.batch, o.rounds = o.shape[:1], [512], 3
    path = measuring.RESULTS / "dense_stack.json"
    have = json.loads(path.read_text()) if path.exists() and not o.again else {}
    for shape in o.shape:
        for batch in o.batch:
            for dtype in o.dtype:
                for task in o.task:
                    key = f"T,D,L,k {shape}, batch {batch}, {dtype}, {task}"
                    key += f", {ISA}" if ISA else ""
                    if key in have and not o.short:
                        continue
                    run_cell(key, shape, batch, dtype, task, o)


def table(results: dict[str, Any]) -> str:
    """Every cell as a row of Markdown: shares, and the rate that they are shares of."""
    lines = ["| cell | " + " | ".join(CONTENDERS) + " | matmul, GFLOP/s (ms, best to worst) |"]
    lines.append("|---" * (len(CONTENDERS) + 2) + "|")
    for key in sorted(key for key in results if key != "machine"):
        found = results[key]
        spread = found["matmul"]
        shares = [f"{found[n]['share']:.2f}" if n in found else "" for n in CONTENDERS]
        rate = f"{found['matmul_gflops']:.0f} ({spread['best_ms']:.0f} to {spread['worst_ms']:.0f})"
        lines.append(f"| {key.removeprefix('T,D,L,k ')} | {' | '.join(shares)} | {rate} |")
    return "\n".join(lines)


def run_cell(key: str, shape: str, batch: int, dtype: str, task: str, o: Any) -> None:
    options = ("--one", "--shape", shape, "--batch", str(batch), "--dtype", dtype, "--task", task)
    rounds = ("--rounds", str(o.rounds), "--contenders", *o.contenders)
    found = measuring.in_fresh_process("benchmarks.dense_stack", *options, *rounds)
    shares = {name: found[name]["share"] for name in o.contenders}
    print(f"{key}: {found['matmul_gflops']} GFLOP/s; shares {shares}", flush=True)
    measuring.record("dense_stack_short" if o.short else "dense_stack", {key: found})


if __name__ == "__main__":
    main()
