"""What an export will contain, decided and checked before anything is built."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.diagnostics import rank_profile
from rankup_keras.serving.exporting import sample_rows
from rankup_keras.serving.exporting.rank_inputs import RankInputs
from rankup_keras.serving.exporting.version_directory import check_destination

COMPARED_ROWS = 1000
RANKED_ROWS = 256
# Casts and fused kernels differ in their last bit between eager code and a graph.
_TOLERANCE, _HALF_TOLERANCE = 1e-6, 2e-2


class ExportDescription:
    """The arguments of `export`, checked, with their defaults filled in.

    Attributes:
        inputs: raw columns, and which of them are the user's.
        tasks: names of the tasks, the primary one first.
        signatures: names of the signatures, `serving_default` first.
        rows: raw rows to compare and to warm up with.
        real_rows: whether the rows are a user's, so that warm-up records are made of them.
    """

    def __init__(
        self,
        model: keras.Model,
        path: str | os.PathLike,
        version: int | None = None,
        warmup: Any = None,
        signatures: Sequence[str] | None = None,
        user_columns: Sequence[str] | None = None,
        batch_sizes: Sequence[int] = (1, 10, 100),
        batching: bool = False,
        metrics: Mapping[str, float] | None = None,
        effective_rank: Mapping[str, Any] | None = None,
        tolerance: float | None = None,
        pooled: str = "pooling",
    ):
        _check_model(model)
        check_destination(path, version)
        self.model, self.path, self.version = model, Path(path), version
        self.name = self.path.resolve().name
        self.batch_sizes, self.batching = _ascending(batch_sizes), batching
        self.inputs = RankInputs(model.features, user_columns)
        tasks = getattr(model, "tasks", None) or list(model.output)
        self.tasks = [getattr(task, "name", task) for task in tasks]
        self.pooled = pooled
        self.signatures = self._chosen(signatures)
        usual = _HALF_TOLERANCE if _computes_in_half(model) else _TOLERANCE
        self.tolerance = usual if tolerance is None else tolerance
        self.real_rows = warmup is not None
        if self.real_rows:
            limit = max(COMPARED_ROWS, *self.batch_sizes)
            self.rows = sample_rows.first_rows(
                warmup, self.inputs.spec, limit, model.features.targets()
            )
        else:
            self.rows = sample_rows.missing_rows(self.inputs.spec, 2)
        self.metrics = dict(_last_metrics(model) if metrics is None else metrics)
        if effective_rank is None and self.real_rows:
            effective_rank = _effective_rank(model, sample_rows.take(self.rows, RANKED_ROWS))
        self.effective_rank = dict(effective_rank or {})

    def _chosen(self, names: Sequence[str] | None) -> list[str]:
        """The signatures to write, `serving_default` first: clients that name none get it."""
        available = ["serving_default"]
        # Numbers of a `tf.Example` are float32, which has no room for such a column.
        if not any(spec.dtype == "float64" for spec in self.inputs.spec.values()):
            # One regression returns one number: further tasks get signatures of their own.
            available += ["classify", "regress", *(f"regress_{task}" for task in self.tasks[1:])]
        # A server that batches joins rows of equal number, and `rank` has one user's.
        if names is not None and "rank" in names and self.batching:
            raise ValueError(
                "`signatures` must not have 'rank' with batching=True: such a server refuses "
                "columns of unequal length. Leave it out; `Client.rank` then repeats the user's "
                f"columns and asks 'serving_default'. Received: signatures={list(names)}"
            )
        available += ["rank"] if self.inputs.user and not self.batching else []
        if any(layer.name == self.pooled for layer in self.model.layers):
            available.append("embed")
        chosen = available if names is None else list(names)
        if "serving_default" not in chosen or not set(chosen) <= set(available):
            raise ValueError(
                f"`signatures` must have 'serving_default' and be among {available}. "
                f"Received: signatures={chosen}"
            )
        return [name for name in available if name in chosen]


def _computes_in_half(model: keras.Model) -> bool:
    """Whether any layer computes in bfloat16 or float16.

    The model's own policy does not say: a Functional model has the one that was global when it was
    built or loaded.
    """
    return any("16" in layer.compute_dtype for layer in nested_layers(model))


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model) or not hasattr(model, "features"):
        raise ValueError(
            "`model` must be a keras.Model with an attribute `features` that encodes raw columns, "
            f"such as rankup_keras.RankUp. Received: {type(model).__name__}"
        )
    on_tpu = [layer for layer in model.layers if getattr(layer, "on_tpu", False)]
    if on_tpu:
        raise ValueError(
            "`model` has its tables on a TPU, which a server does not have: export "
            "`rankup_keras.models.copy_to_host(model)`. "
            f"Received: layer '{on_tpu[0].name}' on a TPU."
        )


def _ascending(sizes: Sequence[int]) -> list[int]:
    if not sizes or any(
        isinstance(s, bool) or not isinstance(s, int | np.integer) or s < 1 for s in sizes
    ):
        raise ValueError(
            f"`batch_sizes` must be positive integers. Received: batch_sizes={sizes!r}"
        )
    return sorted(set(sizes))


def _last_metrics(model: keras.Model) -> dict[str, float]:
    """The last epoch's metrics of a model that was trained in this process, else nothing."""
    history = getattr(getattr(model, "history", None), "history", None) or {}
    return {name: float(values[-1]) for name, values in history.items() if values}


def _effective_rank(model: keras.Model, rows: sample_rows.Rows) -> dict[str, dict[str, float]]:
    """Effective rank by layer on some rows; empty for a model without token matrices."""
    if not any(_is_token_matrix(layer) for layer in model.layers):
        return {}
    encoded, count = model.features.encode(rows), sample_rows.count_rows(rows)
    profile = rank_profile(model, encoded, samples=count, table_rows=0)
    return {
        name: {"mean": ranks.mean, "normalized": ranks.normalized, "ceiling": ranks.ceiling}
        for name, ranks in profile.layers.items()
    }


def _is_token_matrix(layer: keras.layers.Layer) -> bool:
    shape = getattr(layer.output, "shape", ())
    return len(shape) == 3 and "float" in str(layer.output.dtype)
