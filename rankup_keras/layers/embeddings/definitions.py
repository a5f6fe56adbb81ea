"""Checks of what a lookup is defined by: tables, fields and table sets."""

from collections.abc import Mapping, Sequence

import numpy as np

from rankup_keras.features.spec import COMBINERS, FieldSpec, TableSpec


def check_specs(tables: Sequence[TableSpec], fields: Sequence[FieldSpec]) -> None:
    """Refuses tables and fields that do not belong together, naming the one at fault."""
    if not fields:
        raise ValueError("`fields` must name at least one field. Received: an empty list.")
    _check_unique("tables", [table.name for table in tables])
    _check_unique("fields", [field.name for field in fields])
    known = {table.name for table in tables}
    for table in tables:
        if table.rows < 1 or (table.dim is not None and table.dim < 1):
            raise ValueError(
                f"Table '{table.name}' needs at least one row and a positive `dim`. "
                f"Received: rows={table.rows}, dim={table.dim}."
            )
    for field in fields:
        if field.table not in known:
            raise ValueError(
                f"Field '{field.name}' reads table '{field.table}', which is not among the "
                f"tables {sorted(known)[:20]}."
            )
        if field.kind not in ("single", "bag", "sequence"):
            raise ValueError(
                f"`kind` of field '{field.name}' must be 'single', 'bag' or 'sequence'. "
                f"Received: '{field.kind}'."
            )
        if field.combiner not in COMBINERS:
            raise ValueError(
                f"`combiner` of field '{field.name}' must be one of {COMBINERS}. "
                f"Received: '{field.combiner}'."
            )
        if field.length < 1 or field.start < 0 or (field.kind == "single" and field.length != 1):
            raise ValueError(
                f"Field '{field.name}' needs start >= 0 and length >= 1 (1 if single-valued). "
                f"Received: start={field.start}, length={field.length}, kind='{field.kind}'."
            )
        if field.hashes < 1:
            raise ValueError(
                f"`hashes` of field '{field.name}' must be at least 1. Received: {field.hashes}."
            )


def _check_unique(kind: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise ValueError(f"The names of `{kind}` must be unique. Received twice: {repeated}.")


def resolve_table_sets(
    table_sets: int | Sequence[str] | Mapping[str, Sequence[str] | None],
    fields: Sequence[FieldSpec],
) -> dict[str, tuple[str, ...] | None]:
    """Table sets as `name -> fields` (`None` for all of them), however they were given."""
    if isinstance(table_sets, (bool, str)):
        raise ValueError(
            "`table_sets` must be a number, a list of names, or a dict from name to fields. "
            f"Received: {table_sets!r}."
        )
    if isinstance(table_sets, int | np.integer):
        if table_sets < 1:
            raise ValueError(f"`table_sets` must be at least 1. Received: {table_sets}.")
        table_sets = [f"set_{index}" for index in range(table_sets)]
    if not isinstance(table_sets, Mapping):
        _check_unique("table_sets", table_sets)
        table_sets = dict.fromkeys(table_sets)
    if not table_sets:
        raise ValueError("`table_sets` must name at least one table set. Received: none.")
    known = {field.name for field in fields}
    for name, members in table_sets.items():
        if "/" in name or not name:
            raise ValueError(
                f"The name of a table set must not be empty or contain '/'. Received: '{name}'."
            )
        if members is None:
            continue
        unknown = sorted(set(members) - known)
        if unknown:
            raise ValueError(
                f"Table set '{name}' names unknown fields {unknown}; the fields are "
                f"{sorted(known)[:20]}."
            )
        if not members:
            raise ValueError(f"Table set '{name}' has no fields; pass `None` for all of them.")
    return {name: None if own is None else tuple(own) for name, own in table_sets.items()}


def fields_of(fields: Sequence[FieldSpec], members: Sequence[str] | None) -> tuple[FieldSpec, ...]:
    """The fields of one table set, in the order of declaration."""
    return tuple(field for field in fields if members is None or field.name in members)


def slot_limits(
    tables: Sequence[TableSpec], fields: Sequence[FieldSpec]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """For every id slot, the number of rows of the table that it reads and its field's name."""
    rows = {table.name: table.rows for table in tables}
    slots = max(f.start + f.slots for f in fields)
    limits = np.full(slots, np.iinfo(np.int32).max, np.int64)
    names = [""] * slots
    for field in fields:
        for slot in range(field.start, field.start + field.slots):
            if rows[field.table] < limits[slot]:
                limits[slot], names[slot] = rows[field.table], field.name
    return limits, tuple(names)
