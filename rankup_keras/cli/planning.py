"""`rankup-keras plan` and `tpu-check`: what a run would cost, and whether it would fit a TPU."""

import importlib.util
from typing import Any

import keras

from rankup_keras.cli.failures import RunError
from rankup_keras.cli.project import Project
from rankup_keras.cli.settings import SplitOptimizer
from rankup_keras.cli.training import learn
from rankup_keras.models.model_cost import measure

# Values that an optimizer keeps per weight.
_SLOTS = {"adam": 2, "lazy_adam": 2, "ftrl": 2, "adagrad": 1, "row_wise_adagrad": 0, "sgd": 0}


def plan(project: Project) -> tuple[dict[str, Any], str, list[dict[str, Any]]]:
    """Rows, steps, parameters and memory: as values, as text, and the rows of a table by part.

    Features learn first, since tables are as large as vocabularies; the run finds it in the cache.
    """
    training, cache = project.config.training, project.config.data.cache
    found = learn(project)
    cost = measure(project.build_model())
    steps = -(-found.rows // training.batch_size)
    tables = cost.parameters - cost.dense_parameters
    chosen = training.optimizer
    if isinstance(chosen, SplitOptimizer):
        slots = tables * _SLOTS[chosen.embeddings] + cost.dense_parameters * _SLOTS[chosen.dense]
    else:
        slots = cost.parameters * _SLOTS[chosen]
    memory = 4 * (cost.parameters + slots)
    values = {
        "rows": found.rows,
        "steps_per_epoch": steps,
        "steps": steps * training.epochs,
        "parameters": cost.parameters,
        "table_parameters": tables,
        "flops_per_row": cost.flops,
        "weights_and_optimizer_bytes": memory,
        "parts": {part.name: part.parameters for part in cost.parts},
        "run": str(project.run.path),
        "cache": cache,
    }
    # The backward pass costs two forward passes.
    gigaflops = 3 * cost.flops * training.batch_size / 1e9
    text = (
        f"\n{found.rows:,} rows, {steps:,} steps per epoch, {training.epochs} epochs\n"
        f"{memory / 2**20:,.1f} MiB of weights and optimizer\n"
        f"{gigaflops:,.2f} GFLOP per training step, forward and backward"
    )
    parts = [(part.name, part.parameters, part.flops) for part in cost.parts]
    parts.append(("total", cost.parameters, cost.flops))
    names = ("part", "parameters", "FLOPs per sample")
    return values, text, [dict(zip(names, part, strict=True)) for part in parts]


def check_for_tpu(
    project: Project, chip: str, batch_size: int | None = None, float32: bool = False
) -> tuple[dict[str, Any], str]:
    """What Google's compiler says about the training step: as values, and as text."""
    missing = [name for name in ("jax", "libtpu") if importlib.util.find_spec(name) is None]
    if missing:
        raise RunError(
            f"The TPU compiler needs {' and '.join(missing)}. Install it with: "
            "pip install 'rankup-keras[tpu]'"
        )
    from rankup_keras.distribution.experimental import tpu_check
    from rankup_keras.distribution.tpu.chips import chip_of

    chip_of(chip)
    learn(project)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if float32 else "mixed_bfloat16")
    try:
        model = project.build_model()
    finally:
        keras.config.set_dtype_policy(policy)
    # GAUC reads ids, which the compiled dense step does not have.
    project.compile(model, leave_out=["gauc"])
    project.out.say(f"Compiling the training step for {chip}; this takes a minute or more")
    report = tpu_check(model, batch_size or project.config.training.batch_size, chip)
    values = {
        "chip": report.topology,
        "batch_size": report.batch_size,
        "fits": report.fits and not report.refused,
        "hbm_bytes": report.hbm,
        "flops": report.flops,
        "bytes": report.bytes,
        "bound_seconds": report.seconds,
        "limit": report.limit,
        "mfu": report.mfu,
        "refused": list(report.refused),
        "outside": list(report.outside),
    }
    return values, str(report)
