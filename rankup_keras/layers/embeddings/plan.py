"""What the tables will cost, to be read before training."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.distribution.tpu.tpu_field_embedding import TPUFieldEmbedding
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding

ROW_BYTES = 4  # of one float32


def state_values(optimizer: Any, width: int) -> int:
    """How many values an optimizer keeps for one row of a table."""
    if optimizer is None:
        return 0
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
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
    """One table of one table set.

    Attributes:
        table: the table's name.
        table_set: the set that holds this copy of it.
        rows: number of rows.
        width: values a row.
        fields: the features that read it.
        table_bytes: bytes of its float32 values.
        state_bytes: bytes of the optimizer's slots for it.
        device: where it lies; under a mirrored strategy every replica has a copy,
            and the SparseCores of all chips share the rows out.
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
        return self.table_bytes + self.state_bytes


@dataclasses.dataclass(frozen=True)
class EmbeddingPlan:
    """All tables of a model; `print(plan)` shows them, largest first."""

    tables: tuple[TablePlan, ...]
    replicas: int = 1

    @property
    def total_bytes(self) -> int:
        """Bytes of tables and optimizer state on one device."""
        return sum(table.total_bytes for table in self.tables)

    def __str__(self) -> str:
        head = ("table", "set", "rows", "width", "read by", "table", "state", "total", "device")
        ordered = sorted(self.tables, key=lambda table: -table.total_bytes)
        lines = [
            (
                t.table,
                t.table_set,
                f"{t.rows:,}",
                str(t.width),
                _shortened(t.fields),
                _human(t.table_bytes),
                _human(t.state_bytes),
                _human(t.total_bytes),
                t.device,
            )
            for t in ordered
        ]
        table_bytes = sum(t.table_bytes for t in self.tables)
        rows = sum(t.rows for t in self.tables)
        total = (
            "total",
            f"{len({t.table_set for t in self.tables})} sets",
            f"{rows:,}",
            "",
            "",
            _human(table_bytes),
            _human(self.total_bytes - table_bytes),
            _human(self.total_bytes),
            "" if self.replicas == 1 else f"on each of {self.replicas} replicas",
        )
        widths = [max(len(row[i]) for row in [head, *lines, total]) for i in range(len(head))]
        right = {2, 3, 5, 6, 7}

        def line(row: tuple[str, ...]) -> str:
            cells = [
                cell.rjust(w) if i in right else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ]
            return "  ".join(cells).rstrip()

        rule = "  ".join("-" * w for w in widths)
        return "\n".join([line(head), rule, *(line(row) for row in lines), rule, line(total)])


def plan(target: Any, optimizer: Any = None) -> EmbeddingPlan:
    """The tables of a model or of a `FieldEmbedding`, with what they will take in memory.

    Nothing is built or allocated for it, so that a table too large shows here
    first. Bytes are exact for tables and slots; a step adds the rows of its
    batch, and SparseCores pad rows and widths.

    Args:
        target: a model with `FieldEmbedding` or `TPUFieldEmbedding` layers, or
            one such layer.
        optimizer: the optimizer to plan for (a `Split` counts by its
            embeddings' part). Defaults to what trains the tables on a TPU, else
            to the model's own, where it is compiled; without any the state
            counts as nothing.

    Returns:
        An `EmbeddingPlan`; `print` it.

    Example:

    ```python
    model.compile(optimizer=rk.optimizers.Split("adagrad", "adam"))
    print(rk.layers.plan(model))
    ```
    """
    tables_on_tpu, layers = _layers_of(target)
    if not layers and not tables_on_tpu:
        raise ValueError(
            f"`target` has no FieldEmbedding layer, so there is nothing to plan. "
            f"Received: {type(target).__name__}."
        )
    found: list[TablePlan] = []
    for part in tables_on_tpu:
        device = "SparseCores" if part.on_tpu else "default"
        found += _tables(part.definition, optimizer or part.optimizer, device)
    own = optimizer or getattr(target, "optimizer", None)
    for layer in layers:
        found += _tables(layer, own, None)
    shared = not any(part.on_tpu for part in tables_on_tpu)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync if shared else 1
    return EmbeddingPlan(tuple(found), replicas)


def _layers_of(target: Any) -> tuple[list[TPUFieldEmbedding], list[FieldEmbedding]]:
    every = target._flatten_layers() if isinstance(target, keras.layers.Layer) else []
    tpu: list[TPUFieldEmbedding] = []
    plain: list[FieldEmbedding] = []
    for layer in every:
        if isinstance(layer, TPUFieldEmbedding):
            tpu.append(layer)
        elif isinstance(layer, FieldEmbedding):
            plain.append(layer)
    definitions = {id(layer.definition) for layer in tpu}
    return tpu, [layer for layer in plain if id(layer) not in definitions]


def _own(optimizer: Any, table: str) -> Any:
    if isinstance(optimizer, Mapping):
        optimizer = optimizer.get(table)
    return keras.optimizers.get(optimizer) if isinstance(optimizer, str) else optimizer


def _tables(layer: FieldEmbedding, optimizer: Any, device: str | None) -> list[TablePlan]:
    found = []
    for stack in layer._stacks:
        where = device or "default"
        if layer.built:
            where = _short_device(layer._stores[stack.store].value.device)
        for block in stack.blocks:
            readers = [
                field.name
                for field in layer.fields
                if field.table == block.table
                and field.name
                in (*layer.field_names(stack.table_set), *layer.sequence_names(stack.table_set))
            ]
            found.append(
                TablePlan(
                    table=block.table,
                    table_set=block.table_set,
                    rows=block.rows,
                    width=stack.width,
                    fields=tuple(readers),
                    table_bytes=ROW_BYTES * block.rows * stack.width,
                    state_bytes=ROW_BYTES
                    * block.rows
                    * state_values(_own(optimizer, block.table), stack.width),
                    device=where,
                )
            )
    return found


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
