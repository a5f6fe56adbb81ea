"""Where each table, field and table set lies in the stacks, and the order of the one gather."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rankup_keras.features.spec import FieldSpec, TableSpec

COMBINERS = ("mean", "sum", "sqrtn")


@dataclasses.dataclass(frozen=True)
class Block:
    """The rows of one table for one table set inside a stacked variable."""

    table_set: str
    table: str
    offset: int
    rows: int


@dataclasses.dataclass(frozen=True)
class BagGroup:
    """Bags of one length, reduced together: `fields` bags of `length` slots.

    A value's rows by several hash functions are slots of one bag: the mean over
    them all is that of the values' means, the other combiners want a factor. A
    single value of that kind is a bag that is never empty.
    """

    length: int
    fields: int
    slots: np.ndarray  # (fields * length,) columns of the ids
    weights: np.ndarray | None  # (fields * length,) columns of the weights, -1 where there is none
    combiners: np.ndarray  # (fields,) index into COMBINERS
    factors: np.ndarray | None  # (fields,) what the combined rows are multiplied by
    singles: np.ndarray | None  # (fields,) whether id 0 is a row like any other


@dataclasses.dataclass(frozen=True)
class SequenceRun:
    """One sequence's rows inside the gathered ones."""

    key: str
    slots: np.ndarray
    hashes: int

    @property
    def first(self) -> np.ndarray:
        """The slots of the first hash function, which tell padding."""
        return self.slots[: len(self.slots) // self.hashes]


@dataclasses.dataclass(frozen=True)
class Stack:
    """All tables of one width in one table set, and the order in which one gather reads them.

    Stacks of the same tables and fields lie side by side in one variable, a
    *store*: the rows that several table sets have for one id are then one piece
    of memory, and an update looks for repeated ids once for all sets.

    The gathered rows lie as: single-valued fields, then bags by length, then
    sequences. `order` puts the pooled vectors of singles and bags back into
    the order of declaration.
    """

    table_set: str
    width: int
    blocks: tuple[Block, ...]
    columns: np.ndarray  # (n,) the id column that every gathered row reads
    offsets: np.ndarray  # (n,) the first row of its table
    singles: int
    bags: tuple[BagGroup, ...]
    sequences: tuple[SequenceRun, ...]
    order: np.ndarray | None
    pooled: int  # number of pooled fields
    store: int = 0  # the variable that holds it
    start: int = 0  # its first column there

    def reads_as(self, other: "Stack") -> bool:
        """Whether both read the same rows in the same order."""
        return (
            [(b.table, b.offset, b.rows) for b in self.blocks]
            == [(b.table, b.offset, b.rows) for b in other.blocks]
            and np.array_equal(self.columns, other.columns)
            and np.array_equal(self.offsets, other.offsets)
        )

    @property
    def rows(self) -> int:
        return sum(block.rows for block in self.blocks)


def _unique(kind: str, names: Sequence[str]) -> None:
    repeated = sorted({name for name in names if list(names).count(name) > 1})
    if repeated:
        raise ValueError(f"The names of `{kind}` must be unique. Received twice: {repeated}.")


def check_specs(tables: Sequence[TableSpec], fields: Sequence[FieldSpec]) -> None:
    """Refuses tables and fields that do not belong together, naming the one at fault."""
    if not fields:
        raise ValueError("`fields` must name at least one field. Received: an empty list.")
    _unique("tables", [table.name for table in tables])
    _unique("fields", [field.name for field in fields])
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
                f"Field '{field.name}' needs start >= 0 and length >= 1 (1 where single-valued). "
                f"Received: start={field.start}, length={field.length}, kind='{field.kind}'."
            )
        if field.hashes < 1:
            raise ValueError(
                f"`hashes` of field '{field.name}' must be at least 1. Received: {field.hashes}."
            )


def resolve_table_sets(
    table_sets: int | Sequence[str] | Mapping[str, Sequence[str] | None],
    fields: Sequence[FieldSpec],
) -> dict[str, tuple[str, ...] | None]:
    """Table sets as `name -> fields` (`None` for all of them), whichever way they were given."""
    if isinstance(table_sets, (bool, str)):
        raise ValueError(
            "`table_sets` must be a number, a list of names, or a dict of name to fields. "
            f"Received: {table_sets!r}."
        )
    if isinstance(table_sets, int):
        if table_sets < 1:
            raise ValueError(f"`table_sets` must be at least 1. Received: {table_sets}.")
        return {f"set_{index}": None for index in range(table_sets)}
    if not isinstance(table_sets, Mapping):
        _unique("table_sets", list(table_sets))
        table_sets = dict.fromkeys(table_sets)
    if not table_sets:
        raise ValueError("`table_sets` must name at least one table set. Received: none.")
    known = {field.name for field in fields}
    resolved: dict[str, tuple[str, ...] | None] = {}
    for name, members in table_sets.items():
        if "/" in name or not name:
            raise ValueError(
                f"A table set's name may not be empty or contain '/'. Received: '{name}'."
            )
        if members is not None:
            unknown = sorted(set(members) - known)
            if unknown:
                raise ValueError(
                    f"Table set '{name}' names unknown fields {unknown}; the fields are "
                    f"{sorted(known)[:20]}."
                )
            if not members:
                raise ValueError(f"Table set '{name}' has no fields; pass `None` for all of them.")
        resolved[name] = None if members is None else tuple(members)
    return resolved


def fields_of(fields: Sequence[FieldSpec], members: Sequence[str] | None) -> tuple[FieldSpec, ...]:
    """The fields of one table set, in the order of declaration."""
    wanted = None if members is None else set(members)
    return tuple(field for field in fields if wanted is None or field.name in wanted)


def slot_limits(
    tables: Sequence[TableSpec], fields: Sequence[FieldSpec]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """For every id slot the rows of the table that it reads, and its field's name."""
    rows = {table.name: table.rows for table in tables}
    slots = max(f.start + f.slots for f in fields)
    limits = np.full(slots, np.iinfo(np.int32).max, np.int64)
    names = [""] * slots
    for field in fields:
        for slot in range(field.start, field.start + field.slots):
            if rows[field.table] < limits[slot]:
                limits[slot], names[slot] = rows[field.table], field.name
    return limits, tuple(names)


def build_stacks(
    tables: Sequence[TableSpec],
    fields: Sequence[FieldSpec],
    table_sets: Mapping[str, Sequence[str] | None],
    width_of: Callable[[str, str], int],
) -> tuple[Stack, ...]:
    """Lays the tables out, one stack for each table set and width, and finds their stores.

    `width_of(set, table)` gives a table's width.
    """
    rows = {table.name: table.rows for table in tables}
    stacks = []
    for name, members in table_sets.items():
        own = fields_of(fields, members)
        for width in sorted({width_of(name, field.table) for field in own}):
            entries = [field for field in own if width_of(name, field.table) == width]
            stacks.append(_build_stack(name, width, entries, rows))
    return _side_by_side(stacks)


def _side_by_side(stacks: Sequence[Stack]) -> tuple[Stack, ...]:
    """The stacks, with store and place in it of each."""
    stores: list[list[Stack]] = []
    placed = []
    for stack in stacks:
        alike = [i for i, store in enumerate(stores) if store[0].reads_as(stack)]
        index = alike[0] if alike else len(stores)
        if not alike:
            stores.append([])
        start = sum(other.width for other in stores[index])
        stores[index].append(stack)
        placed.append(dataclasses.replace(stack, store=index, start=start))
    return tuple(placed)


def by_store(stacks: Sequence[Stack]) -> list[list[Stack]]:
    """The stacks of each store, from left to right."""
    count = max(stack.store for stack in stacks) + 1
    return [[stack for stack in stacks if stack.store == index] for index in range(count)]


def gathers(stacks: Sequence[Stack]) -> list[list[Stack]]:
    """The stacks that one gather reads together."""
    found: list[list[Stack]] = []
    for stack in stacks:
        for group in found:
            if group[0].store == stack.store and group[0].reads_as(stack):
                group.append(stack)
                break
        else:
            found.append([stack])
    return found


def _build_stack(
    table_set: str, width: int, entries: Sequence[FieldSpec], rows: Mapping[str, int]
) -> Stack:
    blocks: dict[str, Block] = {}
    offset = 0
    for field in entries:
        if field.table not in blocks:
            blocks[field.table] = Block(table_set, field.table, offset, rows[field.table])
            offset += rows[field.table]

    singles = [field for field in entries if field.kind == "single" and field.hashes == 1]
    sequences = [field for field in entries if field.kind == "sequence"]
    groups: dict[int, list[FieldSpec]] = {}
    for field in entries:
        if field.kind == "bag" or (field.kind == "single" and field.hashes > 1):
            groups.setdefault(field.slots, []).append(field)

    pooled = singles + [field for group in groups.values() for field in group]
    gathered = pooled + sequences
    place = {field.name: index for index, field in enumerate(pooled)}
    declared = [place[field.name] for field in entries if field.kind != "sequence"]
    in_order = declared == sorted(declared)
    return Stack(
        table_set=table_set,
        width=width,
        blocks=tuple(blocks.values()),
        columns=np.concatenate([_slots(field) for field in gathered]),
        offsets=np.concatenate([np.full(f.slots, blocks[f.table].offset) for f in gathered]),
        singles=len(singles),
        bags=tuple(bag_group(length, group) for length, group in groups.items()),
        sequences=tuple(
            SequenceRun(f"{table_set}/{f.name}", _slots(f), f.hashes) for f in sequences
        ),
        order=None if in_order else np.array(declared, np.int32),
        pooled=len(pooled),
    )


def in_blocks_of(stack: Stack, whole: Stack) -> Stack:
    """The same lookup, with the tables at the places that another stack gave them."""
    place = {block.table: block.offset for block in whole.blocks}
    moved = {block.offset: place[block.table] for block in stack.blocks}
    offsets = np.array([moved[offset] for offset in stack.offsets.tolist()])
    return dataclasses.replace(
        stack, blocks=whole.blocks, offsets=offsets, store=whole.store, start=whole.start
    )


def _slots(field: FieldSpec) -> np.ndarray:
    return np.arange(field.start, field.start + field.slots, dtype=np.int32)


def bag_group(length: int, group: Sequence[FieldSpec]) -> BagGroup:
    """How bags of one length, in slots, are reduced together."""
    weights = [
        np.full(length, -1)
        if f.weight_start is None
        else np.tile(np.arange(f.weight_start, f.weight_start + f.length), f.hashes)
        for f in group
    ]
    weighted = any(f.weight_start is not None for f in group)
    singles = np.array([f.kind == "single" for f in group])
    combiners = ["mean" if f.kind == "single" else f.combiner for f in group]
    power = {"mean": 0.0, "sum": -1.0, "sqrtn": -0.5}
    factors = np.array([f.hashes ** power[c] for f, c in zip(group, combiners, strict=True)])
    return BagGroup(
        length=length,
        fields=len(group),
        slots=np.concatenate([_slots(f) for f in group]),
        weights=np.concatenate(weights).astype(np.int32) if weighted else None,
        combiners=np.array([COMBINERS.index(c) for c in combiners], np.int32),
        factors=None if np.all(factors == 1) else factors,
        singles=singles if singles.any() else None,
    )
