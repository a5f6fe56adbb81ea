"""Chunks of files → columns of the declared types, and what is wrong with malformed rows."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.packing import key
from rankup_keras.data.row_filters import RowFilter
from rankup_keras.data.source import Chunk
from rankup_keras.data.transforms import Transform
from rankup_keras.features.alignment import misaligned
from rankup_keras.features.conversion import convert, decimal_commas, decoded
from rankup_keras.features.target import Problem, Target, family


@dataclasses.dataclass(frozen=True)
class Cleaned:
    """A chunk's good rows (a converted table, or what was made of it), and the others' problems."""

    rows: Any
    chunk: Chunk
    problems: list[tuple[str, Problem]]

    def report(self, bad_rows: BadRows) -> None:
        """Passes on the problems, each with its column and its row in the chunk."""
        for column, problem in self.problems:
            line = self.chunk.line(problem.row)
            bad_rows.report(self.chunk.file, line, column, problem.value, problem.reason)


class Cleaner:
    """Converts chunks; stateless, so that several may be in work. See `Files` for its arguments."""

    def __init__(
        self,
        targets: Sequence[Target],
        separator: str | None,
        where: Sequence[RowFilter],
        extra: Mapping[str, pa.DataType | None],
        transform: Transform | None,
        decimal: str = ".",
    ) -> None:
        self._targets = targets
        self._separator = separator
        self._where = where
        self._extra = extra
        self._transform = transform
        self._decimal = decimal

    def __call__(
        self, chunk: Chunk, stripe: tuple[int, int] = (0, 1), coded: bool = False
    ) -> Cleaned:
        """The good rows of a chunk; `stripe` is this worker's number and the number of workers."""
        if self._transform is not None:
            chunk = dataclasses.replace(chunk, batch=self._transform(chunk.batch))
        batch, kept = chunk.batch, None
        mask = self._mask(chunk, stripe)
        if not mask.all():
            kept = np.flatnonzero(mask)
            batch = batch.filter(pa.array(mask))
        arrays, problems, bad = {}, [], set()
        for target in self._targets:
            column = batch.column(batch.schema.get_field_index(target.column))
            number = target.kind in ("float32", "float64")
            wrong: list[Problem] = []
            if self._decimal == "," and number and family(column.type) == "text":
                column, wrong = decimal_commas(column)
            if target.rule is not None:
                column, more = target.rule.of_arrow(column)
                wrong = [*wrong, *more]
            arrays[key(target)], found = convert(column, target, self._separator, coded)
            # A value that is no number is a missing label as well; it is told once.
            told = {problem.row for problem in wrong}
            found = [*wrong, *(problem for problem in found if problem.row not in told)]
            for problem in found:
                bad.add(problem.row)
                row = problem.row if kept is None else int(kept[problem.row])
                problems.append((target.column, dataclasses.replace(problem, row=row)))
        lists = {t: arrays[key(t)] for t in self._targets if t.aligned}
        lengths = {t: pc.list_value_length(x).to_numpy() for t, x in lists.items()}
        for target, problem in misaligned(lengths):
            bad.add(problem.row)
            row = problem.row if kept is None else int(kept[problem.row])
            problems.append((target.column, dataclasses.replace(problem, row=row)))
        for name, kind in self._extra.items():
            column = batch.column(batch.schema.get_field_index(name))
            if kind is not None and column.type != kind:
                column = decoded(column).cast(kind)
            arrays[f"extra/{name}"] = column
        table = pa.table(arrays) if arrays else pa.Table.from_batches([batch])
        if bad:
            good = np.ones(batch.num_rows, bool)
            good[sorted(bad)] = False
            table = table.filter(pa.array(good))
        return Cleaned(table, chunk, problems)

    def _mask(self, chunk: Chunk, stripe: tuple[int, int]) -> np.ndarray:
        index, count = stripe
        rows = chunk.first + np.arange(chunk.batch.num_rows)
        mask = rows % count == index
        for where in self._where:
            mask &= where.mask(chunk)
        return mask
