"""What the tables will cost, to be read before training."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.compat.optimizers import without_loss_scaling
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
from rankup_keras.layers.embeddings.field_lookup import FieldLookup
from rankup_keras.text_tables import aligned

VALUE_BYTES = 4  # of one float32


def state_values(optimizer: Any, width: int) -> int:
    """Number of values that an optimizer keeps for one row of a table."""
    if optimizer is None:
        return 0
    optimizer = without_loss_scaling(optimizer)
    optimizer = getattr(optimizer, "embeddings", optimizer)
    kinds = [kind.__name__ for kind in type(optimizer).__mro__]
    if "RowWiseAdagrad" in kinds:
        return 1
    if "SGD" in kinds:
        return width if getattr(optimizer, "momentum", 0) else 0
    if "Adagrad" in kinds:
        return width
    if "Adam" in kinds:
        return (3 if optimizer.amsgrad else 2) * width
    if "Ftrl" in kinds:
        return 2 * width
    raise ValueError(
        "The plan knows the state of SGD, Adagrad, RowWiseAdagrad, Ftrl and Adam. "
        f"Received: {type(optimizer).__name__}."
    )


@dataclasses.dataclass(frozen=True)
class TablePlan:
    """One table of one table set, as a row of `EmbeddingPlan`.

    Attributes:
        table: name of the table.
        table_set: the table set that holds it.
        rows: number of rows.
        width: values per row.
        fields: the features that read it.
        table_bytes: bytes of its float32 values.
        state_bytes: bytes of the optimizer's slots for it.
        device: where it lies. Under a mirrored strategy every replica has all
            tables; the SparseCores of all chips share the rows.

    Example:

    ```python
    import rankup_keras as rk

    row = rk.layers.TablePlan("item", "shared", 100, 16, ("item",), 6400, 6400, "CPU:0")
    assert row.total_bytes == 12_800
    ```
    """

    table: str
    table_set: str
    rows: int
    width: int
    fields: tuple[str, ...]
    table_bytes: int
    state_bytes: int
    device: str

    @property
    def total_bytes(self) -> int:
        """Bytes of the table and its slots."""
        return self.table_bytes + self.state_bytes


COLUMNS: tuple[str, ...] = (
    "table",
    "set",
    "rows",
    "width",
    "read by",
    "table",
    "state",
    "total",
    "device",
)
TEXT_COLUMNS = (0, 1, 4, 8)


@dataclasses.dataclass(frozen=True)
class EmbeddingPlan:
    """All tables of a model; `print(plan)` shows them, largest first.

    Attributes:
        tables: one `TablePlan` for each table of each table set.
        replicas: number of devices that each hold all of them. Defaults to 1.

    Example:

    ```python
    import rankup_keras as rk

    row = rk.layers.TablePlan("item", "shared", 100, 16, ("item",), 6400, 6400, "CPU:0")
    plan = rk.layers.EmbeddingPlan((row,))
    assert plan.total_bytes == 12_800
    print(plan)
    ```
    """

    tables: tuple[TablePlan, ...]
    replicas: int = 1

    @property
    def total_bytes(self) -> int:
        """Bytes of tables and optimizer state on one device."""
        return sum(table.total_bytes for table in self.tables)

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [COLUMNS]
        for t in sorted(self.tables, key=lambda table: -table.total_bytes):
            sizes = map(_human, (t.table_bytes, t.state_bytes, t.total_bytes))
            numbers = f"{t.rows:,}", str(t.width)
            rows.append((t.table, t.table_set, *numbers, _shortened(t.fields), *sizes, t.device))
        sets = len({t.table_set for t in self.tables})
        table_bytes = sum(t.table_bytes for t in self.tables)
        total = (
            "total",
            f"{sets} sets",
            f"{sum(t.rows for t in self.tables):,}",
            "",
            "",
            *map(_human, (table_bytes, self.total_bytes - table_bytes, self.total_bytes)),
            "" if self.replicas == 1 else f"on each of {self.replicas} replicas",
        )
        lines = aligned([*rows, total], TEXT_COLUMNS).splitlines()
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def plan(target: Any, optimizer: Any = None) -> EmbeddingPlan:
    """The tables of a model or of a `FieldEmbedding`, with the memory that they will take.

    Nothing is built or allocated for it, so that a table too large shows here
    first. Bytes are exact for tables and slots; a step adds the rows of its
    batch, and SparseCores pad rows and widths.

    Args:
        target: a model with `FieldEmbedding` layers, on a TPU or not, or one such
            layer.
        optimizer: the optimizer to plan for (of a `Split`, its part for the
            tables counts). Defaults to what trains the tables on a TPU, else to
            the model's own if it is compiled; without any, the state counts as
            nothing.

    Returns:
        An `EmbeddingPlan`; `print` it.

    Raises:
        ValueError: `target` has no `FieldEmbedding`, or the state of the
            optimizer is not known.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=1000)])
    model = rk.RankMixer(features, ["click"], token_dim=8, num_tokens=4, num_blocks=1)
    print(rk.layers.plan(model, rk.optimizers.Split("adagrad", "adam")))
    ```
    """
    every = (
        nested_layers(target, include_self=True) if isinstance(target, keras.layers.Layer) else []
    )
    layers = [layer for layer in every if isinstance(layer, FieldLookup)]
    if not layers:
        raise ValueError(
            f"`target` has no FieldEmbedding layer, so there is nothing to plan. "
            f"Received: {type(target).__name__}."
        )
    own = getattr(target, "optimizer", None)
    rows = [row for layer in layers for row in _rows(layer, optimizer or layer.optimizer or own)]
    shared = not any(layer.on_tpu for layer in layers)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync if shared else 1
    return EmbeddingPlan(tuple(rows), replicas)


def _rows(layer: FieldLookup, optimizer: Any) -> list[TablePlan]:
    found = []
    for stack in layer.stacks:
        device = "SparseCores" if layer.on_tpu else "default"
        if isinstance(layer, FieldEmbedding) and layer.built:
            device = _short_device(layer.table_variables[stack.variable].value.device)
        for block in stack.blocks:
            members = layer.members(stack.table_set)
            state = state_values(_optimizer_of(optimizer, block.table), stack.width)
            found.append(
                TablePlan(
                    table=block.table,
                    table_set=block.table_set,
                    rows=block.rows,
                    width=stack.width,
                    fields=tuple(field.name for field in members if field.table == block.table),
                    table_bytes=VALUE_BYTES * block.rows * stack.width,
                    state_bytes=VALUE_BYTES * block.rows * state,
                    device=device,
                )
            )
    return found


def _optimizer_of(optimizer: Any, table: str) -> Any:
    if isinstance(optimizer, Mapping):
        optimizer = optimizer.get(table)
    return keras.optimizers.get(optimizer) if isinstance(optimizer, str) else optimizer


def _short_device(device: str) -> str:
    return device.split("/device:")[-1] if device else "default"


def _shortened(names: tuple[str, ...], limit: int = 3) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _human(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} TiB"
