"""`rankup-keras plan`: what a run would cost."""

from pathlib import Path
from typing import Any

from rankup_keras.cli import build
from rankup_keras.cli.output import Output
from rankup_keras.cli.settings import Config, SplitOptimizer
from rankup_keras.cli.training import Training
from rankup_keras.cli.yaml_file import YamlFile
from rankup_keras.models.cost import measure

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
