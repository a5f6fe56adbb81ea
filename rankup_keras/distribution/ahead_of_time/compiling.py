"""A lowered training step, compiled in a process of its own."""

import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.models.dense_part import DensePart


def check_step(model: keras.Model, batch_size: int, training: bool = True) -> None:
    """Refuses a model without the step, and what is no number of rows."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
        raise ValueError(f"`batch_size` must be an integer. Received: batch_size={batch_size!r}.")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be positive. Received: batch_size={batch_size}.")
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise ValueError(
            "`model` must be a keras.Model whose inputs are known: a Functional one, such as those "
            f"of this package, or a Sequential one with an Input. Received: model={model!r}."
        )
    if tf.distribute.has_strategy():
        raise ValueError(
            "Call the check outside of the strategy's scope: it compiles the step of one replica."
        )
    if training and (not getattr(model, "compiled", False) or model.optimizer is None):
        raise ValueError("`model` must be compiled with an optimizer: call `model.compile` first.")


def left_out(model: keras.Model, part: DensePart) -> tuple[str, ...]:
    """Names of the layers whose lookups and updates a check does not see."""
    return tuple(n for n in part.tables if not getattr(model.get_layer(n), "before_xla", False))


def compile_step(hlo: bytes, platform: str, target: str) -> tuple[dict[str, Any], str]:
    """Compiles a module in a process of its own: memory and cost, or an error; the compiled text.

    Args:
        hlo: from `lower`.
        platform: `"tpu"` or `"cuda"`.
        target: a TPU's topology, or a GPU as XLA describes it.
    """
    program = pathlib.Path(__file__).with_name("compiler.py")
    with tempfile.TemporaryDirectory() as folder:
        files = ("step.hlo", "result.json", "compiled.txt")
        source, result, compiled = (pathlib.Path(folder, name) for name in files)
        source.write_bytes(hlo)
        done = subprocess.run(
            [sys.executable, str(program), str(source), platform, target, result, compiled],
            capture_output=True,
            text=True,
            check=False,
        )
        if not result.exists():
            raise RuntimeError(
                f"The compiler ended with code {done.returncode}: {done.stderr.strip()[-1000:]}"
            )
        return json.loads(result.read_text()), compiled.read_text()
