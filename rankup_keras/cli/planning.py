"""`rankup-keras plan` and `tpu-check`: what a run would cost, and whether a TPU would take it."""

import importlib.util
from pathlib import Path
from typing import Any

import keras

from rankup_keras.cli import build
from rankup_keras.cli.output import Output
from rankup_keras.cli.problems import RunError
from rankup_keras.cli.settings import Config, SplitOptimizer
from rankup_keras.cli.training import Training
from rankup_keras.cli.yaml_file import YamlFile
from rankup_keras.models.model_cost import measure

# Copies of a weight that an optimizer keeps beside it.
_SLOTS = {"adam": 2, "lazy_adam": 2, "ftrl": 2, "adagrad": 1, "row_wise_adagrad": 0, "sgd": 0}


def make_plan(config: Config, file: YamlFile, out: Output) -> tuple[dict[str, Any], str]:
    """Rows, steps, parameters by part, FLOPs and memory of weights and optimizer.

    Features have to learn first, since tables are as large as vocabularies;
    what they learn is kept for the run.
    """
    training = Training(config, file, out)
    found = training.learn()
    model = build.make_model(config, file, training.features)
    cost = measure(model)
    steps = -(-found.rows // config.training.batch_size)
    chosen = config.training.optimizer
    split = isinstance(chosen, SplitOptimizer)
    tables = cost.parameters - cost.dense_parameters
    slots = (
        tables * _SLOTS[chosen.embeddings] + cost.dense_parameters * _SLOTS[chosen.dense]  # type: ignore[union-attr]
        if split
        else cost.parameters * _SLOTS[str(chosen)]
    )
    memory = 4 * (cost.parameters + slots)
    content = {
        "rows": found.rows,
        "steps_per_epoch": steps,
        "steps": steps * config.training.epochs,
        "parameters": cost.parameters,
        "table_parameters": tables,
        "flops_per_row": cost.flops,
        "weights_and_optimizer_bytes": memory,
        "parts": {part.name: part.parameters for part in cost.parts},
        "run": str(build.run_folder(config, file, None)),
        "cache": None if config.data.cache is None else str(Path(config.data.cache)),
    }
    gigaflops = 3 * cost.flops * config.training.batch_size / 1e9
    text = "\n".join(
        [
            str(cost),
            "",
            f"{found.rows:,} rows, {steps:,} steps an epoch, {config.training.epochs} epochs",
            f"{memory / 2**20:,.1f} MiB of weights and optimizer",
            f"{gigaflops:,.2f} GFLOP a training step, the way back counted twice",
        ]
    )
    return content, text


def check_for_tpu(
    config: Config,
    file: YamlFile,
    out: Output,
    chip: str,
    batch_size: int | None = None,
    float32: bool = False,
) -> dict[str, Any]:
    """What Google's compiler says of the training step, as `TPUReport` tells it, and its `text`.

    Args:
        config: the checked configuration.
        file: the file that it is from.
        out: where to say what happens.
        chip: the topology, such as `"v5e:2x2"`.
        batch_size: rows a chip. Defaults to the training's batch size.
        float32: whether to keep to float32 in place of mixed_bfloat16.

    Raises:
        RunError: the compiler is not installed, or the topology is unknown.
    """
    missing = [name for name in ("jax", "libtpu") if importlib.util.find_spec(name) is None]
    if missing:
        raise RunError(
            f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not installed, which "
            "compile for TPUs. Install them with: pip install 'rankup-keras[tpu]'"
        )
    from rankup_keras.distribution.experimental import tpu_check
    from rankup_keras.distribution.tpu.chips import chip_of

    chip_of(chip)
    training = Training(config, file, out)
    training.learn()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if float32 else "mixed_bfloat16")
    try:
        model = build.make_model(config, file, training.features)
    finally:
        keras.config.set_dtype_policy(policy)
    # Within-user AUC reads ids beside the dense step that is compiled.
    kept = [name for name in config.training.metrics if name != "gauc"]
    training_settings = config.training.model_copy(update={"metrics": kept})
    build.compile_model(config.model_copy(update={"training": training_settings}), model)
    out.say(f"Compiling the training step for {chip}; this takes a minute or more")
    report = tpu_check(model, batch_size or config.training.batch_size, chip)
    return {
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
        "text": str(report),
    }
