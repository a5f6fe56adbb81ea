"""Where each table of each table set lies in the variables, and in which order it is read."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rankup_keras.features.spec import COMBINERS, FieldSpec, TableSpec
from rankup_keras.layers.embeddings.definitions import fields_of


@dataclasses.dataclass(frozen=True)
class Block:
    """The rows of one table, for one table set, inside a stack."""

    table_set: str
    table: str
    offset: int
    rows: int

    @property
    def key(self) -> str:
        """`set/table`, the name by which tables are read and written."""
        return f"{self.table_set}/{self.table}"


@dataclasses.dataclass(frozen=True)
class BagGroup:
    """Bags of equal length, reduced together: `fields` bags of `length` slots.

    The rows that a value has by several hash functions are slots of one bag: the
    mean over all of them is the mean of the values' means; the other combiners
    need a factor. A single value with several hashes is a bag that is never empty.
    """

    length: int
    fields: int
    slots: np.ndarray  # (fields * length,) columns of the ids
    weights: np.ndarray | None  # (fields * length,) columns of the weights, -1 without weights
    combiners: np.ndarray  # (fields,) index into COMBINERS
    factors: np.ndarray | None  # (fields,) what the combined rows are multiplied by
    singles: np.ndarray | None  # (fields,) whether id 0 is a row like any other


@dataclasses.dataclass(frozen=True)
class SequenceRun:
    """The rows of one sequence among the gathered ones."""

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

    Stacks of the same tables and fields lie side by side in the columns of one
    variable: the rows that several table sets have for one id are then one
    piece of memory, and an update looks for repeated ids once for all sets.

    The gathered rows are: single-valued fields, then bags by length, then
    sequences.
    """

    table_set: str
    width: int
    blocks: tuple[Block, ...]
    columns: np.ndarray  # (n,) the id column that every gathered row reads
    offsets: np.ndarray  # (n,) the first row of its table
    singles: int
    bags: tuple[BagGroup, ...]
    sequences: tuple[SequenceRun, ...]
    pooled: tuple[str, ...]  # the fields of singles and bags, in that order
    variable: int = 0  # index of the variable that holds the stack
    start: int = 0  # its first column there

    @property
    def rows(self) -> int:
        return sum(block.rows for block in self.blocks)

    def place(self, block: Block) -> tuple[slice, slice]:
        """Rows and columns of a block in the variable."""
        rows = slice(block.offset, block.offset + block.rows)
        return rows, slice(self.start, self.start + self.width)

    def reads_as(self, other: "Stack") -> bool:
        """Whether both read the same rows in the same order."""
        return (
            [(b.table, b.offset, b.rows) for b in self.blocks]
            == [(b.table, b.offset, b.rows) for b in other.blocks]
            and np.array_equal(self.columns, other.columns)
            and np.array_equal(self.offsets, other.offsets)
        )


def build_stacks(
    tables: Sequence[TableSpec],
    fields: Sequence[FieldSpec],
    table_sets: Mapping[str, Sequence[str] | None],
    width_of: Callable[[str, str], int],
) -> tuple[Stack, ...]:
    """Lays out the tables, one stack for each table set and width, side by side where possible.

    `width_of(set, table)` gives the width of a table.
    """
    rows = {table.name: table.rows for table in tables}
    placed: list[Stack] = []
    for name, members in table_sets.items():
        own = fields_of(fields, members)
        for width in sorted({width_of(name, field.table) for field in own}):
            entries = [field for field in own if width_of(name, field.table) == width]
            stack = _build_stack(name, width, entries, rows)
            beside = [other for other in placed if other.reads_as(stack)]
            index = beside[0].variable if beside else len({other.variable for other in placed})
            start = sum(other.width for other in beside)
            placed.append(dataclasses.replace(stack, variable=index, start=start))
    return tuple(placed)


def by_variable(stacks: Sequence[Stack]) -> list[list[Stack]]:
    """The stacks of each variable, from left to right."""
    count = max(stack.variable for stack in stacks) + 1
    return [[stack for stack in stacks if stack.variable == index] for index in range(count)]


def by_gather(stacks: Sequence[Stack]) -> list[list[Stack]]:
    """The stacks that one gather reads together."""
    found: list[list[Stack]] = []
    for stack in stacks:
        for group in found:
            if group[0].variable == stack.variable and group[0].reads_as(stack):
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
    return Stack(
        table_set=table_set,
        width=width,
        blocks=tuple(blocks.values()),
        columns=np.concatenate([_slots(field) for field in gathered]),
        offsets=np.concatenate([np.full(f.slots, blocks[f.table].offset) for f in gathered]),
        singles=len(singles),
        bags=tuple(bag_group(group) for group in groups.values()),
        sequences=tuple(
            SequenceRun(f"{table_set}/{f.name}", _slots(f), f.hashes) for f in sequences
        ),
        pooled=tuple(field.name for field in pooled),
    )


def _slots(field: FieldSpec) -> np.ndarray:
    return np.arange(field.start, field.start + field.slots, dtype=np.int32)


def bag_group(group: Sequence[FieldSpec]) -> BagGroup:
    """How bags with equally many slots are reduced together."""
    length = group[0].slots
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


def in_blocks_of(stack: Stack, whole: Stack) -> Stack:
    """The same lookup, in tables that lie where another stack placed them."""
    place = {block.table: block.offset for block in whole.blocks}
    moved = {block.offset: place[block.table] for block in stack.blocks}
    offsets = np.array([moved[offset] for offset in stack.offsets.tolist()])
    return dataclasses.replace(
        stack, blocks=whole.blocks, offsets=offsets, variable=whole.variable, start=whole.start
    )


def to_variables(stacks: Sequence[Stack], tables: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The values of the variables, from tables as `set/table` → (rows, width)."""
    dtype = next(iter(tables.values())).dtype
    values = [
        np.empty((own[0].rows, sum(stack.width for stack in own)), dtype)
        for own in by_variable(stacks)
    ]
    for stack in stacks:
        for block in stack.blocks:
            values[stack.variable][stack.place(block)] = tables[block.key]
    return values


def to_tables(stacks: Sequence[Stack], values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The tables, as `set/table` → (rows, width), from the values of the variables.

    Raises:
        ValueError: the values are those of other tables.
    """
    wanted = [(own[0].rows, sum(s.width for s in own)) for own in by_variable(stacks)]
    shapes = [tuple(value.shape) for value in values]
    if shapes != wanted:
        raise ValueError(
            f"The saved tables have the shapes {shapes}; this layer's tables need {wanted}."
        )
    return {
        block.key: values[stack.variable][stack.place(block)]
        for stack in stacks
        for block in stack.blocks
    }
