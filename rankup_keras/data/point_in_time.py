"""Point-in-time columns: of every row, what strictly earlier rows tell.

Logs are coarse in time: in MovieLens-100k half of a user's ratings share a second with another
one. Rows at the same time do not count as earlier, or labels would leak.
"""

from typing import Any

import numpy as np

from rankup_keras.data.log_columns import row_flags, row_groups, row_times, row_values
from rankup_keras.metrics.exact import as_numbers


def earlier_items(
    users: Any, times: Any, items: Any, length: int, order: str = "oldest_first"
) -> np.ndarray:
    """Every row's history: the last items of its user, before its time.

    Args:
        users: array (n,), whose history it is; of a missing one it is empty.
        times: array (n,) of numbers or dates with times, when the row happened.
        items: array (n,) of strings or integers, what goes into the history.
        length: how many items to keep, the newest ones.
        order: `"oldest_first"` (default) or `"newest_first"`, the order in
            which they stand, as in `History`.

    Returns:
        String array (n, length), `""` behind the last item. Of items at one
        time, the one in the later row is the newer.

    Example:

    ```python
    import rankup_keras as rk

    past = rk.data.earlier_items(["u", "u", "u"], [1, 2, 3], ["a", "b", "c"], length=2)
    assert past.tolist() == [["", ""], ["a", ""], ["a", "b"]]
    ```
    """
    if length < 1:
        raise ValueError(f"`length` must be at least 1. Received: length={length}")
    if order not in ("oldest_first", "newest_first"):
        raise ValueError(
            f"`order` must be 'oldest_first' or 'newest_first'. Received: order={order!r}"
        )
    items = row_values(items, "`items`")
    sort, user_start, tie_start = _sorted_runs(users, times, items=items)
    if order == "newest_first":
        positions = tie_start[:, None] - 1 - np.arange(length)
    else:
        positions = np.maximum(user_start, tie_start - length)[:, None] + np.arange(length)
    earlier = (positions >= user_start[:, None]) & (positions < tie_start[:, None])
    histories = np.empty((len(items), length), dtype=items.dtype)
    histories[sort] = np.where(earlier, items[sort][np.where(earlier, positions, 0)], "")
    return histories


def earlier_statistics(
    groups: Any, times: Any, values: Any, counted: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Count and mean of a group's values before every row's time.

    With labels as values, pass the training rows as `counted`: then no row
    sees a label of the validation or test rows, nor its own.

    Args:
        groups: array (n,), whose values go together, a user or an item; a missing one has none.
        times: array (n,) of numbers or dates with times, when the row happened.
        values: array (n,) of numbers; NaN does not count.
        counted: array (n,) of booleans or of 0 and 1, the rows whose values are known.
            Defaults to all.

    Returns:
        Float32 arrays (n,): the count, and the mean, NaN where the count is 0.

    Example:

    ```python
    import rankup_keras as rk

    count, mean = rk.data.earlier_statistics(["u", "u", "u"], [1, 2, 3], [1, 0, 1])
    assert count.tolist() == [0, 1, 2] and mean[1:].tolist() == [1, 0.5]
    ```
    """
    values = as_numbers(values)
    known = np.ones(len(values), bool) if counted is None else row_flags(counted, "`counted`")
    order, group_start, tie_start = _sorted_runs(groups, times, values=values, counted=known)
    known = known & ~np.isnan(values)
    counts = np.concatenate([[0.0], np.cumsum(known[order])])
    sums = _sums_within(np.where(known, values, 0)[order], group_start)
    count, total = np.empty(len(values)), np.empty(len(values))
    count[order] = counts[tie_start] - counts[group_start]
    total[order] = np.where(tie_start > group_start, sums[tie_start - 1], 0)
    mean = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return count.astype(np.float32), mean.astype(np.float32)


def _sums_within(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Running sums that restart with every group, by doubling steps.

    The difference of two running sums over all groups would lose small values behind large ones,
    and all of them behind an infinity.

    Args:
        values: array (n,), sorted by group.
        start: array (n,), the place where each value's group starts.
    """
    sums, places, step = values.astype(np.float64), np.arange(len(values)), 1
    longest = int((places - start).max(initial=0))
    while step <= longest:
        later = np.flatnonzero(places - step >= start)
        sums[later] += sums[later - step]
        step *= 2
    return sums


def _sorted_runs(
    groups: Any, times: Any, **others: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order by group, time and row; for each place there, where its group and its tie start."""
    groups, times = row_groups(groups, "Groups")[0], row_times(times)
    lengths = {name: len(a) for name, a in {"groups": groups, "times": times, **others}.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"Groups and times must have one value per row, as all others. Received: {lengths}."
        )
    order = np.lexsort((times, groups))
    groups, times = groups[order], times[order]
    new_group = np.concatenate([[True], groups[1:] != groups[:-1]])[: len(groups)]
    new_tie = new_group | np.concatenate([[True], times[1:] != times[:-1]])[: len(groups)]
    places = np.arange(len(groups))
    group_start = np.maximum.accumulate(np.where(new_group, places, 0))
    tie_start = np.maximum.accumulate(np.where(new_tie, places, 0))
    return order, group_start, tie_start
