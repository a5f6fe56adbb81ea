"""Kernels, traffic and bound of a training step on GPUs, by XLA's compiler; needs no GPU.

    python -m benchmarks.gpu_check                # the table of docs/performance.md
    python -m benchmarks.gpu_check stack h100     # one model, one card

Needs the extra [gpu-check].
"""

import sys

import keras

import rankup_keras as rk
from benchmarks.dense_stack import own_stack


def stack():
    """RankMixer's dense stack of 107M parameters."""
    model = own_stack(16, 768, 2, 2176 / 768)
    model.compile(rk.optimizers.Split(dense="adam"), "binary_crossentropy")
    return model, 4096


def rankup_base():
    """What stands behind the tables of the preset, on 40 fields, a history of 50 and two tasks."""
    features = rk.FeatureSet(
        [
            *(rk.Categorical(f"field_{i}", num_ids=1000) for i in range(40)),
            *(rk.Numeric(f"number_{i}", normalize=None) for i in range(8)),
            rk.History("history", of="field_0", max_length=50),
        ]
    )
    model = rk.from_preset("rankup_base", features, ["click", "buy"])
    model.compile(rk.optimizers.Split("adagrad", "adam"))
    return model, 2048


def main(models=("stack", "rankup_base"), cards=("h100", "a100", "l4")):
    keras.config.set_dtype_policy("mixed_bfloat16")
    print(
        "| model | card | rows | kernels | GB | outside products | memory, GiB | bound, ms | MFU |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in models:
        model, batch = globals()[name]()
        for card in cards:
            r = rk.distribution.gpu_check(model, batch, card)
            print(
                f"| {name} | {card} | {batch} | {sum(r.kernels.values())} | "
                f"{sum(r.bytes.values()) / 1e9:.1f} | {r.bytes_outside / 1e9:.1f} | "
                f"{r.memory / 2**30:.1f} | {1e3 * r.seconds:.2f} | {r.mfu:.0%} |",
                flush=True,
            )


if __name__ == "__main__":
    main(*([argument] for argument in sys.argv[1:3]))
