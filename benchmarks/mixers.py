"""Every mixer and network of the package beside RankMixer's: time per floating-point operation.

    python -m benchmarks.mixers                 # about 10 minutes on two cores
    python -m benchmarks.mixers --short

Stacks of equal shape, float32, trained through `fit` and run as an exported signature is. The
figure is the time per operation of the stack's matrix products (`rk.models.measure`, forward) over
that of RankMixer's stack, which runs in turn with each: above 1 is slower per operation. Sparse
experts count with all experts active. Results go to `results/mixers.json`.
"""

import argparse
import os
import statistics
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import measuring
from benchmarks.dense_stack import by_keras, data

PRE: dict[str, Any] = {"placement": "pre", "norm": "layer_norm", "ffn": "swiglu"}
STACKS: dict[str, dict[str, Any]] = {
    "rankmixer": {"placement": "post", "norm": "layer_norm", "ffn": "gelu"},
    "rankup": PRE,
    "mix_and_revert": {**PRE, "mixing": "mix_and_revert"},
    "tokenmixer_large": {**PRE, "norm": "rms_norm", "mixing": "tokenmixer_large"},
    "sparse_moe 4 of 8": {**PRE, "ffn": {"kind": "sparse_moe", "num_experts": 8, "num_active": 4}},
    "unimixing": {**PRE, "norm": "siamese", "mixing": "unimixing"},
    "unimixing lite": {
        **PRE,
        "norm": "siamese",
        "mixing": {"kind": "unimixing", "bases": 4, "rank": 64},
    },
    "token_attention": {**PRE, "mixing": "token_attention"},
    "gram_mixing": {**PRE, "mixing": "gram_mixing"},
    "full_mixing, low rank": {**PRE, "mixing": {"kind": "full_mixing", "form": "low_rank"}},
    "glu": {**PRE, "ffn": "glu"},
}


def stack(name: str, tokens: int, width: int, blocks: int, expansion: float) -> Any:
    import keras

    from rankup_keras.layers.tokens import TokenAssembly
    from rankup_keras.layers.towers import TaskTowers, TokenPooling
    from rankup_keras.models.stack import mixer_stack

    settings = dict(STACKS[name])
    policy = keras.config.dtype_policy()
    inputs = keras.Input((tokens, width))
    x = TokenAssembly(name="tokens")([inputs])
    ffn = settings.pop("ffn")
    x = mixer_stack(x, blocks, ffn, {"expansion": expansion}, policy, **settings)
    return keras.Model(inputs, TaskTowers(["y"])(TokenPooling("mean")(x))["y"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", default="16,256,2,2", help="T,D,L,k")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stacks", nargs="+", default=list(STACKS)[1:])
    parser.add_argument("--short", action="store_true")
    o = parser.parse_args()
    import keras

    import rankup_keras as rk
    from rankup_keras.serving.exporting.precast_kernels import PrecastKernels

    shape = [int(n) for n in o.shape.split(",")]
    x, y = data(shape[0], shape[1], o.batch)
    found, rounds = {}, 2 if o.short else o.rounds
    for name in o.stacks:
        keras.backend.clear_session()
        turns, flops = {}, {}
        for own in ("rankmixer", name):
            model = stack(own, *shape)
            flops[own] = rk.models.measure(model).flops
            split = rk.optimizers.Split(dense="adam")
            held = PrecastKernels(model)
            train, infer = by_keras(model, split, x, y, 5, jit=False, held=held)
            turns |= {f"{own} train": train, f"{own} infer": infer}
        seconds = {k: statistics.median(v) for k, v in measuring.in_turns(turns, rounds, 2).items()}
        ratios = {
            task: round(
                (seconds[f"{name} {task}"] / flops[name])
                / (seconds[f"rankmixer {task}"] / flops["rankmixer"]),
                2,
            )
            for task in ("train", "infer")
        }
        found[name] = {"flops": flops[name], "of_rankmixer": flops["rankmixer"], **ratios}
        print(f"{name}: per operation, of RankMixer's time: {ratios}", flush=True)
    if not o.short:
        measuring.record("mixers", {f"T,D,L,k {o.shape}, batch {o.batch}": found})


if __name__ == "__main__":
    main()
