"""`EventLog`: every row's earlier events, from a log that may be larger than memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from rankup_keras.data.log_columns import row_column, row_flags, row_groups, row_times
from rankup_keras.features.columns import as_mapping

ORDERS = ("oldest_first", "newest_first")


class EventLog:
    """Adds to the rows of an interaction log what their user did before, part by part.

    An event is visible to rows strictly after it: rows at the same time do not
    see each other, since logs are coarse and labels would leak. It keeps the
    newest `length` events of every user, so memory grows with users, not rows.

    Args:
        user: str. Column of whose events they are; rows without one have none, and are none.
        time: str. Column of when a row happened, numbers or dates with times.
        events: dict from the name of a new column to the column that it lists.
            Name the time there too, for `Events(time=...)`.
        length: int. How many events to keep, the newest ones.
        order: `"oldest_first"` (default) or `"newest_first"`, how they stand in
            the lists, as in `Events`.
        keep: str or `None`. Column of 0 and 1, or booleans, none missing, that says which
            rows become events, such as clicks among impressions. Defaults to all.

    Example:

    ```python
    import rankup_keras as rk

    log = rk.data.EventLog("user", "time", {"seen": "item", "seen_at": "time"}, length=2)
    monday = log.add({"user": ["u", "u"], "time": [1, 2], "item": ["a", "b"]})
    tuesday = log.add({"user": ["u", "v"], "time": [2, 9], "item": ["c", "d"]})
    assert monday["seen"].to_pylist() == [[], ["a"]]
    assert tuesday["seen"].to_pylist() == [["a"], []]     # b is as old as c
    ```
    """

    def __init__(
        self,
        user: str,
        time: str,
        events: Mapping[str, str],
        length: int,
        order: str = "oldest_first",
        keep: str | None = None,
    ) -> None:
        if length < 1 or not events:
            raise ValueError(
                "`length` must be at least 1, and `events` name a column. "
                f"Received: length={length}, events={dict(events)}."
            )
        if order not in ORDERS:
            raise ValueError(f"`order` must be one of {ORDERS}. Received: order={order!r}.")
        self.user, self.time, self.events = user, time, dict(events)
        self.length, self.order, self.keep = length, order, keep
        self._kept: pa.Table | None = None
        self._until: Any = None

    def add(self, rows: Any) -> pa.Table:
        """The rows with their events' lists, in the rows' order; the rows then become events.

        Args:
            rows: dict of columns, pandas frame or pyarrow table. Their order is free, but no row
                may be older than one of an earlier call.

        Raises:
            ValueError: a column is missing, a time or `keep` is, a name is taken, or a row is too
                old.
            TypeError: times are text, or a column has another type than in earlier calls.
        """
        table = rows if isinstance(rows, pa.Table) else pa.table(dict(as_mapping(rows)))
        sources = list(dict.fromkeys([self.user, self.time, *self.events.values()]))
        needed = [*sources, *([self.keep] if self.keep else [])]
        missing = [name for name in needed if name not in table.column_names]
        taken = [name for name in self.events if name in table.column_names]
        if missing or taken:
            what = f"lacks the columns {missing}" if missing else f"has columns named {taken}"
            raise ValueError(f"The log {what}. Received columns: {table.column_names}.")
        own = pa.table({name: _plain(name, table.column(name)) for name in sources})
        before = own.slice(0, 0) if self._kept is None or not len(own) else self._kept
        try:
            whole = pa.concat_tables([before, own], promote_options="permissive")
        except pa.ArrowException as error:
            raise TypeError(
                f"A column must have one type in all parts of a log: {error}."
            ) from None
        times = self._times(own)
        if len(times) and self._until is not None and times.min() < self._until:
            raise ValueError(
                "A log must be added in the order of time. Received a row at "
                f"{times.min()}, after rows at {self._until}."
            )
        times = np.concatenate([self._times(before), times])
        is_event = np.ones(len(times), bool)
        if self.keep:
            flags = row_flags(table.column(self.keep), f"Column {self.keep!r}, `keep`,")
            is_event[len(before) :] = flags
        lists, kept = self._arranged(whole, times, is_event, len(before))
        if len(own):
            self._kept, self._until = kept, times.max()
        for name, column in lists.items():
            table = table.append_column(name, column)
        return table

    def _times(self, table: pa.Table) -> np.ndarray:
        return row_times(table.column(self.time), f"Column {self.time!r}")

    def _arranged(
        self, whole: pa.Table, times: np.ndarray, is_event: np.ndarray, old: int
    ) -> tuple[dict[str, pa.Array], pa.Table]:
        """The lists of the rows behind the first `old`, and the events to keep."""
        users, known = row_groups(whole.column(self.user), f"Column {self.user!r}")
        is_event &= known
        order = np.lexsort((np.arange(len(users)), times, users))
        user, time, event = users[order], times[order], is_event[order]
        new_user = np.diff(user, prepend=-1) != 0
        new_tie = new_user | np.concatenate([[True], time[1:] != time[:-1]])[: len(time)]
        places = np.arange(len(user))
        user_start = np.maximum.accumulate(np.where(new_user, places, 0))
        tie_start = np.maximum.accumulate(np.where(new_tie, places, 0))
        # Positions among events alone.
        seen = np.concatenate([[0], np.cumsum(event)])
        events = order[event]
        end = seen[tie_start]
        begin = np.maximum(seen[user_start], end - self.length)
        first, last = np.empty_like(begin), np.empty_like(end)
        first[order], last[order] = begin, end
        first, last = first[old:], last[old:]
        offsets = np.concatenate([[0], np.cumsum(last - first)])
        flat = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - first, last - first)
        if self.order == "newest_first":
            flat = np.repeat(first + last - 1, last - first) - flat
        index = pa.array(events[flat])
        lists = {
            name: pa.LargeListArray.from_arrays(
                pa.array(offsets, pa.int64()), whole.column(source).combine_chunks().take(index)
            )
            for name, source in self.events.items()
        }
        # Of each user the newest before the latest time, and all at it: a tie may go on.
        ends = np.flatnonzero(np.concatenate([new_user[1:], [True]])[: len(user)])
        start_of = np.repeat(begin[ends], np.diff(ends, prepend=-1))
        keep = event & (seen[:-1] >= start_of)
        return lists, whole.take(pa.array(np.sort(order[keep])))


def _plain(name: str, column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece, with no dictionary, since those of several parts may differ."""
    kind = column.type
    return row_column(column, f"Column {name!r}").cast(
        kind.value_type if pa.types.is_dictionary(kind) else kind
    )
