"""A feature's values and their counts: which stay in its vocabulary, and in which order."""

import itertools
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LEDGER = pa.schema(
    [
        ("feature", pa.string()),
        ("value", pa.string()),
        ("count", pa.float64()),
        ("last_seen", pa.int32()),
    ]
)


def former_places(values: Iterable[pa.Array], former: Iterable[pa.Array]) -> np.ndarray:
    """The place that each of some values had among former ones, int32, -1 where it had none.

    Neither repeats a value, and both come in pieces of one length but for the last. Most values of
    a vocabulary are where they were, so that a comparison finds them; only the others are looked
    up, since a hash table of all would take as much memory as their rows of an embedding table.
    """
    found: list[np.ndarray] = []
    rest: list[tuple[np.ndarray, pa.Array]] = []
    others: list[tuple[np.ndarray, pa.Array]] = []
    start = 0
    for ours, theirs in itertools.zip_longest(values, former, fillvalue=pa.array([], pa.string())):
        common, longest = min(len(ours), len(theirs)), max(len(ours), len(theirs))
        same = np.zeros(longest, bool)
        same[:common] = pc.equal(ours.slice(0, common), theirs.slice(0, common)).to_numpy(False)
        found.append(np.arange(start, start + len(ours), dtype=np.int32))
        for piece, moved in ((ours, rest), (theirs, others)):
            other = ~same[: len(piece)]
            moved.append((start + np.flatnonzero(other), piece.filter(pa.array(other))))
        start += longest
    places, left = _joined(rest)
    former_ones, candidates = _joined(others)
    result = np.concatenate([np.empty(0, np.int32), *found])
    at = pc.index_in(left, candidates).fill_null(-1).to_numpy()
    result[places] = np.append(former_ones, -1)[at]
    return result


def _joined(parts: list[tuple[np.ndarray, pa.Array]]) -> tuple[np.ndarray, pa.Array]:
    places = np.concatenate([np.empty(0, np.int64), *(places for places, _ in parts)])
    return places, pa.chunked_array([v for _, v in parts], pa.string()).combine_chunks()


class ValueBook:
    """Counts of one feature's values: those of the vocabulary, in order, then candidates."""

    def __init__(self, known: pa.Array, ledger: pa.Table, day: int, min_count: float) -> None:
        noted = ledger["value"].combine_chunks()
        at = former_places([known], [noted])
        candidate = np.ones(len(noted), bool)
        candidate[at[at >= 0]] = False
        self.known, self.day = len(known), day
        self.values = pa.concat_arrays([known, noted.filter(pa.array(candidate))])
        # Without an entry, at -1, a value counts as seen today.
        count = np.append(ledger["count"].to_numpy(), min_count)
        seen = np.append(ledger["last_seen"].to_numpy(), np.int32(day))
        self.count = np.concatenate([count[at], count[:-1][candidate]])
        self.seen = np.concatenate([seen[at], seen[:-1][candidate]])
        self.places = np.arange(len(known))

    def add(self, today: pa.Table, decay: float) -> None:
        """Takes today's counts, values unique or not."""
        summed = today.group_by("value", use_threads=False).aggregate([("count", "sum")])
        values, counts = summed["value"].combine_chunks(), summed["count_sum"].to_numpy()
        at = pc.index_in(self.values, values)  # a hash table of today's alone
        known, places = at.is_valid().to_numpy(False), at.drop_null().to_numpy()
        self.count *= decay
        self.count[known] += counts[places]
        self.seen[known] = self.day
        new = np.ones(len(values), bool)
        new[places] = False
        self.values = pa.concat_arrays([self.values, values.filter(pa.array(new))])
        self.count = np.concatenate([self.count, counts[new]])
        self.seen = np.concatenate([self.seen, np.full(new.sum(), self.day, np.int32)])

    def alive(
        self, evict_after: int | None, evict_below: float, min_count: float, limit: int | None
    ) -> np.ndarray:
        """Which values the vocabulary has from now on."""
        alive = self.count >= evict_below
        if evict_after is not None:
            alive &= self.day - self.seen <= evict_after
        alive[self.known :] &= self.count[self.known :] >= min_count
        if limit is not None and alive.sum() > limit:
            order = self._by_count(np.flatnonzero(alive))
            alive[order[limit:]] = False
        return alive

    def _by_count(self, places: np.ndarray) -> np.ndarray:
        """Places by falling count; of equal ones the vocabulary's first, then by value."""
        table = pa.table(
            {
                "count": self.count[places],
                "new": places >= self.known,
                "value": self.values.take(pa.array(places)),
            }
        )
        keys = [("count", "descending"), ("new", "ascending"), ("value", "ascending")]
        return places[pc.sort_indices(table, keys).to_numpy()]

    def placed(self, alive: np.ndarray) -> tuple[pa.Array, dict[str, int]]:
        """The vocabulary in the order of its ids, and what changed."""
        old, places = alive[: self.known], np.arange(self.known)
        new = self._by_count(np.flatnonzero(alive[self.known :]) + self.known)
        free = np.flatnonzero(~old)
        filled = min(len(free), len(new))
        places[free[:filled]] = new[:filled]
        places = np.concatenate([places, new[filled:]])
        holes = free[filled:]
        if len(holes):
            stay = np.setdiff1d(np.arange(self.known), holes)
            size = len(stay)
            low, movers = holes[holes < size], stay[stay >= size]
            places[low] = places[movers]
            places = places[:size]
        change = {"kept": int(old.sum()), "added": len(new), "evicted": len(free)}
        self.places = places
        return self.values.take(pa.array(places)), change

    def ledger(self, name: str, vocabulary: pa.Array, evict_after: int | None) -> pa.Table:
        """What the next day needs: the vocabulary, and candidates that are not too old.

        The vocabulary's values come first and in its order, where the next day looks for them.
        """
        fresh = np.ones(len(self.values), bool)
        if evict_after is not None:
            fresh = self.day - self.seen <= evict_after
        fresh[self.places] = False
        rest = np.flatnonzero(fresh)
        order = np.concatenate([self.places, rest])
        values = pa.chunked_array([vocabulary, self.values.take(pa.array(rest))])
        names = pa.repeat(name, len(order))
        columns = [names, values, pa.array(self.count[order]), pa.array(self.seen[order])]
        return pa.Table.from_arrays(columns, schema=LEDGER)
