"""The time of a request."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.features.feature import Feature, Side, one_of
from rankup_keras.features.instants import UNITS

CYCLES = ("hour", "weekday")


@serializable
class Timestamp(Feature):
    """The time of a request, from which `Events` take how long ago each of them was.

    An int64 since the start of 1970 in UTC, or a column of dates with times, or
    text of these as ISO 8601 writes it (`"2026-09-01T00:02:54Z"`): those with a
    time zone are converted, those without one are taken as UTC. A missing time
    is `-1` or null.

    Args:
        name: str. Name of the raw column.
        unit: `"s"` (default), `"ms"`, `"us"` or `"ns"`: what whole numbers
            count, here and in the times of the events that refer to it.
        cycles: what the models read of the time itself, each as sine and cosine
            in `encoded_numeric`: `"hour"` (of the day) and `"weekday"`. Defaults
            to both; `()` for none. All zeros where the time is missing.
        utc_offset: float. Hours that local time, which `cycles` are of, is ahead
            of UTC. Defaults to 0.
        side: see `Feature`. Defaults to `"user"`.
        group: see `Feature`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Timestamp("time", cycles=["hour"])])
    encoded = features.encode({"time": [6 * 3600]})["encoded_numeric"]
    assert encoded.round(6).tolist() == [[1, 0]]  # six o'clock
    ```
    """

    def __init__(
        self,
        name: str,
        unit: str = "s",
        cycles: Sequence[str] = CYCLES,
        utc_offset: float = 0.0,
        side: Side | None = "user",
        group: str | None = None,
    ) -> None:
        super().__init__(name, side, group)
        owner = f"feature {name!r}"
        self.unit = one_of(unit, tuple(UNITS), "unit", owner)
        self.cycles = [one_of(cycle, CYCLES, "cycles", owner) for cycle in cycles]
        given: Any = utc_offset  # of a configuration it may be the name of a zone
        if not isinstance(given, int | float | np.number) or not -24 < given < 24:
            raise ValueError(
                f"`utc_offset` of {owner} must be hours, between -24 and 24. "
                f"Received: utc_offset={utc_offset!r}."
            )
        self.utc_offset = float(utc_offset)

    def raw_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec((None,), tf.int64, name=self.name)

    def numeric_names(self) -> list[str]:
        """Names of its columns of `encoded_numeric`."""
        return [f"{self.name}:{cycle}_{of}" for cycle in self.cycles for of in ("sin", "cos")]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(unit=self.unit, cycles=self.cycles, utc_offset=self.utc_offset)
        return config
