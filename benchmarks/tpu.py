"""The largest batch of the 100M presets that fits a TPU chip, and the bound of its step.

    python benchmarks/tpu.py                            # the table of docs/distribution.md
    python benchmarks/tpu.py rankup_100m v6e:2x2 4096   # one model, chip and batch

Needs the extra [tpu], and no TPU.
"""

import sys

import keras

import rankup_keras as rk
from rankup_keras.distribution.experimental import tpu_check

PRESETS = ("rankmixer_100m", "rankup_100m")
TOPOLOGIES = ("v5e:2x2", "v6e:2x2")


def make_model(preset):
    """A preset on 128 categorical fields, numbers and two pretrained vectors, in bfloat16."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    features = rk.FeatureSet(
        [
            *(rk.Categorical(f"field_{index}", hash_buckets=100) for index in range(128)),
            *(rk.Numeric(f"number_{index}", normalize=None) for index in range(16)),
            rk.Pretrained("user_vector", dim=64),
            rk.Pretrained("item_vector", dim=64),
        ]
    )
    model = rk.from_preset(preset, features, ["click", "buy"])
    model.compile(rk.optimizers.Split())
    return model


def largest(model, topology, start=1024):
    """The report of the largest power-of-two batch that fits."""
    best, batch = None, start
    while True:
        report = tpu_check(model, batch, topology)
        print(report, flush=True)
        if not report.fits:
            return best
        best, batch = report, 2 * batch


def main(presets=PRESETS, topologies=TOPOLOGIES, batch=None):
    rows = []
    for preset in presets:
        model = make_model(preset)
        for topology in topologies:
            report = (
                tpu_check(model, int(batch), topology)
                if batch
                else largest(model, topology, start=4096)
            )
            print(report, flush=True)
            rows.append((preset, report))
    print(
        "| model | chip | rows per chip | memory, GiB | TFLOP | GB | bound, ms | by | MFU at most |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for preset, r in rows:
        print(
            f"| {preset} | {r.chip.name} | {r.batch_size:,} | {(r.hbm or 0) / 2**30:.1f} | "
            f"{r.flops / 1e12:.1f} | {r.bytes / 1e9:.1f} | {1e3 * r.seconds:.1f} | {r.limit} | "
            f"{r.mfu:.0%} |"
        )


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        arguments[:1] or PRESETS,
        arguments[1:2] or TOPOLOGIES,
        arguments[2] if len(arguments) > 2 else None,
    )
