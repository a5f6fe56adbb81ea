"""A compiled HLO module, read from its text."""

import dataclasses
import functools
import math
import re

BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
BYTES |= {"s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
# Memory spaces on the chip: vector memory, flags, scalar memory. All others count as main memory.
ON_CHIP = (1, 2, 6)

_HEAD = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
_LINE = re.compile(r"\s+(ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)")
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")


@dataclasses.dataclass(frozen=True)
class Shape:
    """One array."""

    dims: tuple[int, ...]
    bytes: int  # padded to whole tiles of its layout
    on_chip: bool  # whether it lies in the fast memory of the chip
    kind: str  # of its elements, as in `BYTES`


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One instruction."""

    name: str
    op: str
    shapes: tuple[Shape, ...]  # the arrays that it makes, those of a tuple one after the other
    operands: tuple[str, ...]
    literal: str  # what stands between its parentheses
    attributes: str  # what stands after them

    @property
    def bytes(self) -> int:
        """Size of all its arrays."""
        return sum(shape.bytes for shape in self.shapes)

    @property
    def on_chip(self) -> bool:
        """Whether all its arrays lie in the fast memory of the chip."""
        return bool(self.shapes) and all(shape.on_chip for shape in self.shapes)

    def named(self, attribute: str) -> str:
        """The computation that an attribute names."""
        found = re.search(rf"\b{attribute}=%?([\w.\-]+)", self.attributes)
        if found is None:
            raise ValueError(f"Instruction '{self.name}' ({self.op}) names no {attribute}.")
        return found.group(1)


@dataclasses.dataclass
class Computation:
    """Instructions by name, in order, and the name of the one that is the result."""

    instructions: dict[str, Instruction] = dataclasses.field(default_factory=dict)
    root: str = ""

    @property
    def result(self) -> Instruction:
        return self.instructions[self.root]

    @functools.cached_property
    def users(self) -> dict[str, list[tuple[Instruction, int]]]:
        """For every name the instructions that read it, and as which operand."""
        found: dict[str, list[tuple[Instruction, int]]] = {name: [] for name in self.instructions}
        for instruction in self.instructions.values():
            for place, name in enumerate(instruction.operands):
                if name in found:
                    found[name].append((instruction, place))
        return found

    @functools.cached_property
    def parameters(self) -> dict[int, Instruction]:
        """Parameters by their number."""
        every = self.instructions.values()
        return {int(i.literal): i for i in every if i.op == "parameter"}


@dataclasses.dataclass
class Module:
    """All computations by name, and the name of the one that runs first."""

    computations: dict[str, Computation]
    entry: str


def parse(text: str) -> Module:
    """Reads the text of an optimized module, as the compiler prints it, with layouts.

    Raises:
        ValueError: there is no entry computation.
    """
    computations: dict[str, Computation] = {}
    entry, current = "", None
    for line in text.splitlines():
        head = None if line.startswith(" ") else _HEAD.match(line.rstrip())
        if head:
            current = computations.setdefault(head.group(2), Computation())
            entry = head.group(2) if head.group(1) else entry
        elif line.startswith("}"):
            current = None
        elif current is not None and (found := _LINE.match(line)):
            root, name, kind, op, rest = found.groups()
            inside, attributes = _balanced(rest)
            shapes = tuple(_shape(*groups) for groups in _SHAPE.findall(kind) if groups[0] in BYTES)
            operands = tuple(re.findall(r"%([\w.\-]+)", inside))
            current.instructions[name] = Instruction(name, op, shapes, operands, inside, attributes)
            current.root = name if root else current.root
    if not entry:
        raise ValueError("The module's text has no ENTRY computation.")
    return Module(computations, entry)


def _balanced(rest: str) -> tuple[str, str]:
    """What stands before the parenthesis that closes an open one, and after it."""
    depth = 1
    for index, letter in enumerate(rest):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return rest[:index], rest[index + 1 :]
    return rest, ""


def _shape(kind: str, dims: str, layout: str) -> Shape:
    sizes = [int(size) for size in dims.split(",") if size]
    space = re.search(r"S\((\d+)\)", layout)
    bytes_ = math.prod(_padded(sizes, layout)) * BYTES[kind]
    on_chip = space is not None and int(space.group(1)) in ON_CHIP
    return Shape(tuple(sizes), bytes_, on_chip, kind)


def _padded(sizes: list[int], layout: str) -> list[int]:
    """Sizes from the innermost dimension on, padded to whole tiles."""
    order = [int(axis) for axis in layout.partition(":")[0].split(",") if axis]
    if not order or not sizes:
        return sizes
    padded = [sizes[axis] for axis in order]
    tile = re.search(r"T\(([\d,]+)\)", layout)
    inner = [int(size) for size in tile.group(1).split(",")][::-1] if tile else []
    for axis, size in enumerate(inner[: len(padded)]):
        padded[axis] = -(-padded[axis] // size) * size
    return padded
