"""Sequences of events: several aligned lists in a row."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.features.categorical import Categorical
from rankup_keras.features.feature import Feature, Side, one_of, positive_int
from rankup_keras.features.history import ORDERS
from rankup_keras.features.numeric import Numeric

TIME_FEATURES = ("bucket", "log_gap", "log_step", "hour", "weekday")
# int64 columns of bits; the sign stays free.
MAX_ACTIONS = 63


@serializable
class Events(Feature):
    """What a user did: a sequence of events, each with all that is known of it.

    A row has one list per column, all equally long, and place i of every list
    belongs to event i. Whatever the order in the data, models see the newest
    event first and padding behind the oldest.

    **Cut-off.** With times, only events strictly before the request are seen.
    Others, and those without a time, are left out before the sequence is cut to
    `max_length`; `encode` and `data.scan` warn of their number, since in
    training rows they mean that the log leaks. A row without a request time has
    no events.

    **Order** is declared once and says which events are the newest: those are
    kept. Times in another order are an error, and so are times that look like
    another unit.

    Args:
        name: str. Name of the sequence, not of a column.
        ids: dict from a column of ids to where they are read from: the name of a
            single-valued `Categorical`, whose table and values they share (the
            candidate's item, its category, ...); a list of values, or a number n
            of integer ids `0 <= id < n`, for a table of their own (an action's
            kind). A value that is not known has the id of unknown ones. At least one.
        max_length: int. Number of events that models see, the newest.
        time: str or `None`. Column of the events' times, int64 in the unit of
            `request_time` or dates with times. `None` (default) for events
            without times: then nothing is cut off.
        request_time: str or `None`. Name of the `Timestamp` of the request;
            needed with `time`.
        order: `"oldest_first"` (default), `"newest_first"`, or `"unordered"`,
            which sorts by time; of equal times the later place is the newer one.
        actions: dict from a column of bit masks (int64) to the number of
            actions n: bit j is set where the event has action j < n. Defaults to
            none.
        numbers: dict from a column of numbers to its normalization, see
            `Numeric`; what is missing is 0 after it. Defaults to none.
        time_features: what models read of the times: `"bucket"`, the gap to the
            request in `time_buckets` with an embedding each; `"log_gap"` and
            `"log_step"`, logarithms of the gap to the request and to the event
            before, 1 at a year; `"hour"` and `"weekday"`, sine and cosine of the
            event's own time. Defaults to all.
        time_buckets: int. Buckets of the gap, edges from 5 seconds to a year in
            equal ratios, the last one open. Defaults to 64.
        matches: bool or list of columns of `ids` that read the candidate's tables;
            `True` for all of these. Models then also read of each how many of the
            kept events have the candidate's value, how long ago the last of them
            was, and the means of `actions` and `numbers` over them
            (`EventMatches`): what embeddings tell only after many rows. Unknown
            values match nothing. Defaults to `False`.
        side: see `Feature`. Defaults to `"user"`.
        group: see `Feature`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([
        rk.Categorical("item", vocabulary=["a", "b", "c"]),
        rk.Timestamp("time"),
        rk.Events("clicks", ids={"clicked": "item"}, max_length=3,
                  time="click_time", request_time="time", time_features=["log_gap"]),
    ])
    rows = {"item": ["a"], "time": [100], "clicked": [["b", "c"]], "click_time": [[10, 90]]}
    encoded = features.encode(rows)
    assert encoded["encoded_ids"].tolist() == [[2, 4, 3, 0]]  # item; newest click first
    ```

    Raises:
        ValueError: no column of ids, `time` without `request_time`, or an
            argument out of its range.
    """

    def __init__(
        self,
        name: str,
        ids: Mapping[str, str | int | Sequence[str] | Sequence[int]],
        max_length: int,
        time: str | None = None,
        request_time: str | None = None,
        order: str = "oldest_first",
        actions: Mapping[str, int] | None = None,
        numbers: Mapping[str, str | None] | None = None,
        time_features: Sequence[str] = TIME_FEATURES,
        time_buckets: int = 64,
        matches: bool | Sequence[str] = False,
        side: Side | None = "user",
        group: str | None = None,
    ) -> None:
        super().__init__(name, side, group)
        owner = f"feature {name!r}"
        if not isinstance(ids, Mapping) or not ids:
            raise ValueError(
                f"`ids` of {owner} must be a dict from a column of ids to the feature whose table "
                f"it reads. Received: ids={ids!r}."
            )
        self.ids: dict[str, Any] = {
            column: of if isinstance(of, str | int) else list(of) for column, of in ids.items()
        }
        self.max_length = positive_int(max_length, "max_length", owner) or 1
        if (time is None) != (request_time is None):
            raise ValueError(
                f"Give `time` and `request_time` of {owner} both, or neither. "
                f"Received: time={time!r}, request_time={request_time!r}."
            )
        self.time, self.request_time = time, request_time
        self.order = one_of(order, ORDERS, "order", owner)
        if order == "unordered" and time is None:
            raise ValueError(
                f"order='unordered' of {owner} needs `time` to sort by. Received: time=None."
            )
        self.actions = dict(actions or {})
        for column, count in self.actions.items():
            if not 1 <= (positive_int(count, "actions", owner) or 0) <= MAX_ACTIONS:
                raise ValueError(
                    f"`actions` of {owner} must be at most {MAX_ACTIONS} bits. "
                    f"Received: {column!r}: {count}."
                )
        self.numbers = dict(numbers or {})
        self.time_features = [
            one_of(item, TIME_FEATURES, "time_features", owner) for item in time_features
        ]
        self.time_buckets = positive_int(time_buckets, "time_buckets", owner) or 1
        shared = [column for column, of in self.ids.items() if isinstance(of, str)]
        if not isinstance(matches, bool | Sequence) or isinstance(matches, str):
            raise ValueError(
                f"`matches` of {owner} must be True, False or a list of columns out of {shared}. "
                f"Received: matches={matches!r}."
            )
        self.matches = matches if isinstance(matches, bool) else list(matches)
        for column in () if isinstance(self.matches, bool) else self.matches:
            one_of(column, shared, "matches", owner)
        if self.matches and not shared:
            raise ValueError(
                f"`matches` of {owner} needs a column of `ids` that reads a feature's table. "
                f"Received: ids={self.ids!r}."
            )
        # What learns or looks up values by itself, as features of the same columns would.
        self.owned = [
            Categorical(column, num_ids=of) if isinstance(of, int) else Categorical(column, of)
            for column, of in self.ids.items()
            if not isinstance(of, str)
        ]
        self.scaled = [
            Numeric(column, how, indicator=False, dtype="float32")
            for column, how in self.numbers.items()
        ]

    @property
    def gap(self) -> str | None:
        """Name of the field and table of the gap's buckets, if there are any."""
        return f"{self.name}:gap" if self.time and "bucket" in self.time_features else None

    @property
    def fields(self) -> dict[str, str]:
        """Its id fields in the order of their slots → the table that each reads."""
        tables = {c: of if isinstance(of, str) else c for c, of in self.ids.items()}
        return {**tables, self.gap: self.gap} if self.gap else tables

    @property
    def matched(self) -> dict[str, str]:
        """Column that is compared with the candidate → the feature that it is compared with."""
        of = {column: name for column, name in self.ids.items() if isinstance(name, str)}
        if isinstance(self.matches, bool):
            return of if self.matches else {}
        return {column: of[column] for column in self.matches}

    @property
    def columns(self) -> list[str]:
        """Its raw columns, all of them lists."""
        return [*self.ids, *self.actions, *self.numbers, *([self.time] if self.time else [])]

    @property
    def numbers_and_actions(self) -> list[str]:
        """Its numbers, and every action of its masks."""
        bits = [f"{column}:{bit}" for column, n in self.actions.items() for bit in range(n)]
        return [*self.numbers, *bits]

    @property
    def channels(self) -> list[str]:
        """What `encoded_events` holds of an event: whether there is one, then its numbers."""
        names = ["present", *self.numbers_and_actions]
        for item in self.time_features if self.time else ():
            if item != "bucket":
                cyclic = item in ("hour", "weekday")
                names += [f"{item}_sin", f"{item}_cos"] if cyclic else [item]
        return names

    def raw_specs(self, dtypes: Mapping[str, tf.DType]) -> dict[str, tf.TensorSpec]:
        """Column → shape and dtype; `dtypes` are those of the single-valued features."""
        kinds: dict[str, Any] = {
            c: dtypes.get(of) if isinstance(of, str) else None for c, of in self.ids.items()
        }
        kinds.update({f.name: f.raw_spec().dtype for f in self.owned})
        kinds |= dict.fromkeys(self.actions, tf.int64) | dict.fromkeys(self.numbers, tf.float32)
        kinds |= {self.time: tf.int64} if self.time else {}
        return {c: tf.TensorSpec((None, None), kind, name=c) for c, kind in kinds.items()}

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for argument in (
            "ids", "max_length", "time", "request_time", "order", "actions", "numbers",
            "time_features", "time_buckets", "matches",
        ):  # fmt: skip
            config[argument] = getattr(self, argument)
        return config
