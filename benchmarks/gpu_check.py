"""Kernels, traffic and bound of a step on GPUs, by XLA's compiler; needs no GPU.

    python -m benchmarks.gpu_check                        # the tables of docs/performance.md
    python -m benchmarks.gpu_check --models stack --cards h100 --tasks training

Needs the extra [gpu-check].
"""

import argparse
import itertools

import keras

import rankup_keras as rk
from benchmarks.dense_stack import own_stack


def stack():
    """RankMixer's dense stack of 107M parameters, and the sizes of batches."""
    model = own_stack(16, 768, 2, 2176 / 768)
    model.compile(rk.optimizers.Split(dense="adam"), "binary_crossentropy")
    return model, (4096, 512)


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
    return model, (2048, 512)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["stack", "rankup_base"], choices=MODELS)
    parser.add_argument("--cards", nargs="+", default=["h100", "a100", "l4"])
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    options = parser.parse_args()
    keras.config.set_dtype_policy("mixed_bfloat16")
    print(
        "| task | model | card | rows | kernels | GB | outside products | memory, GiB | bound, ms "
        "| MFU |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name in options.models:
        model, batches = MODELS[name]()
        for task, card in itertools.product(options.tasks, options.cards):
            for batch in batches if task == "scoring" else batches[:1]:
                r = rk.distribution.gpu_check(model, batch, card, training=task == "training")
                print(
                    f"| {task} | {name} | {card} | {batch} | {sum(r.kernels.values())} | "
                    f"{sum(r.bytes.values()) / 1e9:.2f} | {r.bytes_outside / 1e9:.2f} | "
                    f"{r.memory / 2**30:.1f} | {1e3 * r.seconds:.2f} | {r.mfu:.0%} |",
                    flush=True,
                )


MODELS = {"stack": stack, "rankup_base": rankup_base}
TASKS = ("training", "scoring")

if __name__ == "__main__":
    main()
