"""A feature's values and their counts: which stay in its vocabulary, and in which order."""

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


class ValueBook:
    """Counts of one feature's values: those of the vocabulary, in order, then candidates."""

    def __init__(self, known: pa.Array, ledger: pa.Table, day: int, min_count: float) -> None:
        found = pc.index_in(known, ledger["value"].combine_chunks())
        at, noted = found.fill_null(0).to_numpy(), found.is_valid().to_numpy(False)
        candidates = pc.invert(pc.is_in(ledger["value"], known)).combine_chunks()
        self.known, self.day = len(known), day
        self.values = pa.concat_arrays([known, ledger["value"].combine_chunks().filter(candidates)])
        beyond = candidates.to_numpy(False)
        count, seen = ledger["count"].to_numpy(), ledger["last_seen"].to_numpy()
        if not len(ledger):
            count, seen = np.zeros(1), np.zeros(1, np.int32)
            beyond = np.zeros(1, bool)
        self.count = np.concatenate([np.where(noted, count[at], min_count), count[beyond]])
        self.seen = np.concatenate([np.where(noted, seen[at], day), seen[beyond]])

    def add(self, today: pa.Table, decay: float) -> None:
        """Takes today's counts, values unique or not."""
        summed = today.group_by("value", use_threads=False).aggregate([("count", "sum")])
        values, counts = summed["value"].combine_chunks(), summed["count_sum"].to_numpy()
        at = pc.index_in(values, self.values)
        old = at.is_valid().to_numpy(False)
        self.count *= decay
        places = at.drop_null().to_numpy()
        self.count[places] += counts[old]
        self.seen[places] = self.day
        self.values = pa.concat_arrays([self.values, values.filter(pc.is_null(at))])
        self.count = np.concatenate([self.count, counts[~old].astype(np.float64)])
        self.seen = np.concatenate([self.seen, np.full((~old).sum(), self.day)])

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
        return self.values.take(pa.array(places)), change

    def ledger(self, name: str, vocabulary: pa.Array, evict_after: int | None) -> pa.Table:
        """What the next day needs: the vocabulary's values, and candidates that are not too old."""
        fresh = np.ones(len(self.values), bool)
        if evict_after is not None:
            fresh = self.day - self.seen <= evict_after
        kept = pc.or_(pc.is_in(self.values, vocabulary), pa.array(fresh))
        columns = [
            self.values.filter(kept),
            pa.array(self.count).filter(kept),
            pa.array(self.seen.astype(np.int32)).filter(kept),
        ]
        names = pa.array([name]).take(pa.array(np.zeros(len(columns[0]), np.int64)))
        return pa.Table.from_arrays([names, *columns], schema=LEDGER)
