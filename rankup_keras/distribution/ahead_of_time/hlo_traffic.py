"""Operations of a compiled program, and its traffic to the main memory of a TPU or GPU.

The compiler's own analysis counts the body of a loop once, whatever the number of turns, and counts
what stays in fast memory as if it went through main memory. Both matter for a step that computes in
tiles.
"""

import dataclasses
import math
import re
from collections.abc import Iterator

from rankup_keras.distribution.ahead_of_time.hlo_text import Computation, Instruction, Module, parse

# No bytes move: names, and the ends of what was counted at its start.
_FREE = {"parameter", "constant", "bitcast", "tuple", "get-tuple-element", "after-all"}
_FREE |= {"copy-done", "async-done", "async-update", "partition-id", "replica-id"}
_FREE_CALLS = ("AllocateBuffer", "AssumeGatherIndicesInBound")
# Kinds of a loop's counter.
COUNTS = ("s32", "s64", "u32", "u64")


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What a program does: operations of products, bytes to and from main and fast memory."""

    flops: float = 0.0
    bytes: float = 0.0
    fast_bytes: float = 0.0

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(
            self.flops + other.flops,
            self.bytes + other.bytes,
            self.fast_bytes + other.fast_bytes,
        )

    def times(self, count: int) -> "Traffic":
        """So many turns of it."""
        return Traffic(self.flops * count, self.bytes * count, self.fast_bytes * count)


def count_traffic(text: str) -> Traffic:
    """Counts an optimized module, given as the compiler prints it, with layouts.

    - A fused op reads its operands and writes its results once, whole tiles of their
      layouts; of an operand of which it takes only slices, the slices; of a result that
      it updates in place, the update.
    - An array lies where its layout says; what the compiler placed in no fast memory
      counts as main memory.
    - A loop counts as many times as its constant bound says, a branch as the largest one.

    Raises:
        ValueError: a loop has no constant bound.
    """
    module = parse(text)
    return _Count(module).of(module.computations[module.entry])


PRODUCTS = "products"


def count_kernels(text: str) -> dict[str, tuple[int, float]]:
    """Kernels of an optimized module for a GPU, and their bytes as `count_traffic` has them.

    Returns:
        A dict from `"products"`, `"reductions"`, `"element-wise"` and `"copies"` to the number of
        kernels and their bytes.
    """
    module = parse(text)
    count = _Count(module)
    found: dict[str, tuple[int, float]] = {}
    for kind, turns, size in count.kernels(module.computations[module.entry]):
        number, total = found.get(kind, (0, 0.0))
        found[kind] = (number + turns, total + turns * size)
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


class _Count:
    def __init__(self, module: Module) -> None:
        self.computations = module.computations

    def kernels(self, computation: Computation) -> Iterator[tuple[str, int, float]]:
        """Kind, number of turns and bytes of every kernel."""
        for i in computation.instructions.values():
            if i.op in ("while", "call", "async-start"):
                attribute = {"while": "body", "call": "to_apply"}.get(i.op, "calls")
                turns = self._turns(i) if i.op == "while" else 1
                for kind, inner, size in self.kernels(self._called(i, attribute)):
                    yield kind, turns * inner, size
            elif i.op == "conditional":
                yield from max(
                    (list(self.kernels(branch)) for branch in self._branches(i)),
                    key=lambda branch: sum(turns * size for _, turns, size in branch),
                    default=[],
                )
            elif i.op not in _FREE:
                yield self._kind(i, computation), 1, self._instruction(i, computation).bytes

    def _kind(self, i: Instruction, where: Computation) -> str:
        if self._flops(i, where) or re.search(
            r'custom_call_target="[^"]*(gemm|matmul)', i.attributes
        ):
            return PRODUCTS
        parts = self._called(i).instructions.values() if i.op == "fusion" else [i]
        if any(part.op in ("reduce", "reduce-window", "scatter") for part in parts):
            return "reductions"
        moves = all(part.op in (*_FREE, "copy", "transpose", "slice") for part in parts)
        return "copies" if moves else "element-wise"

    def of(self, computation: Computation) -> Traffic:
        every = computation.instructions.values()
        return sum((self._instruction(i, computation) for i in every), Traffic())

    def _called(self, instruction: Instruction, attribute: str = "calls") -> Computation:
        return self.computations[instruction.named(attribute)]

    def _branches(self, i: Instruction) -> list[Computation]:
        names = re.search(r"branch_computations=\{([^}]*)\}", i.attributes)
        found = re.findall(r"%?([\w.\-]+)", names.group(1)) if names else []
        found += re.findall(r"(?:true|false)_computation=%?([\w.\-]+)", i.attributes)
        return [self.computations[name] for name in found]

    def _instruction(self, i: Instruction, where: Computation) -> Traffic:
        if i.op in _FREE or any(f'"{target}"' in i.attributes for target in _FREE_CALLS):
            return Traffic()
        if i.op == "while":
            return self.of(self._called(i, "body")).times(self._turns(i))
        if i.op == "call":
            return self.of(self._called(i, "to_apply"))
        if i.op == "async-start":
            return self.of(self._called(i))
        if i.op == "conditional":
            branches = [self.of(branch) for branch in self._branches(i)]
            return max(branches, key=lambda branch: branch.bytes, default=Traffic())
        return self._moved(i, where)

    def _moved(self, i: Instruction, where: Computation) -> Traffic:
        operands = [where.instructions[name] for name in i.operands if name in where.instructions]
        written = [(shape.bytes, shape.on_chip) for shape in i.shapes]
        read = [(operand.bytes, operand.on_chip) for operand in operands]
        if i.op == "fusion":
            inner = self._called(i)
            read = [
                (self._read(inner, inner.parameters[place].name, size), fast)
                for place, (size, fast) in enumerate(read)
            ]
            sizes = self._written(inner, inner.result)
            written = [(n, s.on_chip) for n, s in zip(sizes, i.shapes, strict=True)]
        elif i.op == "copy-start":
            # Its result holds the source and a flag besides the copy.
            written = written[:1]
        elif i.op in ("slice", "dynamic-slice"):
            read = [(i.bytes, operands[0].on_chip)]
        elif i.op == "dynamic-update-slice":
            read = read[1:2]
            written = [(operands[1].bytes, i.shapes[0].on_chip)]
        moved = read + written
        main = sum(size for size, fast in moved if not fast)
        return Traffic(self._flops(i, where), main, sum(size for size, fast in moved if fast))

    def _read(self, inner: Computation, name: str, size: int) -> int:
        """Bytes of a value of `size` that a fused computation reads."""
        if inner.result.name == name:
            return size
        total = 0
        for user, place in inner.users[name]:
            if user.op in ("slice", "dynamic-slice") and place == 0:
                total += user.bytes
            elif user.op == "bitcast":
                total += self._read(inner, user.name, size)
            elif user.op == "fusion":
                deeper = self._called(user)
                total += self._read(deeper, deeper.parameters[place].name, size)
            elif user.op != "dynamic-update-slice" or place != 0:
                return size
        return min(total, size)

    def _written(self, inner: Computation, result: Instruction) -> list[int]:
        """Bytes of every result that a fused computation writes."""
        if result.op == "tuple":
            parts = [inner.instructions[name] for name in result.operands]
            return [size for part in parts for size in self._written(inner, part)]
        if result.op == "bitcast":
            return self._written(inner, inner.instructions[result.operands[0]])
        if result.op == "fusion":
            deeper = self._called(result)
            return self._written(deeper, deeper.result)
        if result.op == "dynamic-update-slice":
            return [inner.instructions[result.operands[1]].bytes]
        return [shape.bytes for shape in result.shapes]

    def _flops(self, i: Instruction, where: Computation) -> float:
        """Operations of matrix products, which TPUs have as convolutions."""
        if i.op == "fusion":
            inner = self._called(i)
            return sum(self._flops(part, inner) for part in inner.instructions.values())
        if i.op not in ("convolution", "dot"):
            return 0.0
        left = where.instructions[i.operands[0]].shapes[0].dims
        if i.op == "dot":
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", i.attributes)
            summed = [left[int(axis)] for axis in axes.group(1).split(",") if axis] if axes else []
        else:
            labels = re.search(r"dim_labels=(\w+)_\w+->", i.attributes)
            summed = [left[labels.group(1).index("f")]] if labels else []
        return 2.0 * math.prod(i.shapes[0].dims) * math.prod(summed)

    def _turns(self, loop: Instruction) -> int:
        known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes)
        if known:
            return int(known.group(1))
        condition = self._called(loop, "condition")
        compare, inside, outer = condition.result, condition, None
        if compare.op == "fusion":
            inside, outer = self._called(compare), compare
            compare = inside.result
        for name in compare.operands if "direction=LT" in compare.attributes else ():
            bound = inside.instructions[name]
            if bound.op == "parameter" and outer is not None:
                bound = condition.instructions[outer.operands[int(bound.literal)]]
            # A number that is compared with 1000.0 need not be one of turns.
            if bound.op == "constant" and bound.shapes[0].kind in COUNTS:
                return int(bound.literal)
        raise ValueError(f"Loop '{loop.name}' of the compiled step has no constant bound.")
