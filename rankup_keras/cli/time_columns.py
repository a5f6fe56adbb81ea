"""Columns of dates and times: timestamps, ISO text, Unix seconds and milliseconds."""

import dataclasses
import datetime as dt
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.features.instants import LIKELY
from rankup_keras.features.target import family

_DATE = r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})"
_TEXT = re.compile(
    _DATE + r"([T ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AP]M)?( ?(Z|UTC|[-+]\d{2}:?\d{2}))?)?"
)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}.*")
_NAME = re.compile(r"(^|_)(ts|time|timestamp|date|datetime|day|created|when|at)(_|$)|time$")
OWN_FORM = "dates in a form of their own"
FRACTIONS = "Unix seconds with fractions"
_SHORT = {"seconds": "s", "milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
_UNITS = {"seconds": 1, "milliseconds": 1000, "microseconds": 1_000_000, "nanoseconds": 10**9}


@dataclasses.dataclass(frozen=True)
class Times:
    """What a column of time is, and where its last tenths begin.

    Attributes:
        what: for people: `"dates"`, `"Unix seconds"`, ...
        unit: of whole numbers, `"s"`, `"ms"`, `"us"` or `"ns"`.
        bounds: values at 80 and 90 % of the rows, as a split in YAML takes them; `None` where the
            form has no order that is known.
    """

    what: str
    bounds: tuple[Any, Any] | None
    unit: str = ""


def times_of(name: str, array: pa.Array, numbers: np.ndarray | None) -> Times | None:
    """What a column of time is; `None` where it is none.

    Args:
        name: the column's name in lower case.
        array: its values.
        numbers: the same as numbers, if they are.
    """
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        what = "dates" if pa.types.is_date(array.type) else "timestamps"
        return Times(what, _bounds(array.cast(pa.timestamp("us")) if what == "dates" else array))
    if numbers is not None:
        return unix_times(name, numbers)
    if family(array.type) == "text":
        return _text(array)
    return None


def unix_times(name: str, numbers: np.ndarray) -> Times | None:
    """What numbers of time since 1970 are; `None` where they are none."""
    known = numbers[np.isfinite(numbers)]
    if not len(known):
        return None
    for unit, factor in _UNITS.items():
        low, high = known.min() / factor, known.max() / factor
        if low >= LIKELY[0] and high <= LIKELY[1]:
            # Without a telling name only times of some ten years, in no fixed steps, are ones.
            some = high - low < 4e8 and len(np.unique(known)) > 1 and high < 2e9
            if not (_NAME.search(name) or (some and unit != "nanoseconds" and low > 1e9)):
                return None
            if np.any(known % 1):
                return Times(FRACTIONS, None) if unit == "seconds" else None
            cuts = [int(v) for v in np.quantile(known, [0.8, 0.9])]
            return Times(f"Unix {unit}", (cuts[0], cuts[1]), _SHORT[unit])
    return None


def _text(array: pa.Array) -> Times | None:
    known = [v for v in array.drop_null().unique()[:2000].to_pylist() if v]
    known = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in known]
    matching = sum(bool(_TEXT.fullmatch(value.strip())) for value in known)
    if not known or matching < 0.99 * len(known):
        return None
    if not all(_ISO.fullmatch(value.strip()) for value in known):
        return Times(OWN_FORM, None)
    text = pc.utf8_trim_whitespace(array.cast(pa.binary()).cast(pa.string()))
    text = pc.if_else(pc.equal(text, ""), None, text)
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return Times("dates as text", _bounds(text.cast(kind)))
        except pa.ArrowInvalid:
            continue
    return Times("dates as text", None)


def _bounds(times: pa.Array) -> tuple[str, str] | None:
    known = times.drop_null()
    if not len(known):
        return None
    if known.type.tz is not None:
        known = pc.local_timestamp(known)  # as a split's bounds are
    stamps = known.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_numpy()
    cuts = [
        dt.datetime.fromtimestamp(int(v) / 1e6, dt.UTC).replace(tzinfo=None)
        for v in np.quantile(stamps, [0.8, 0.9])
    ]
    return _written(cuts[0]), _written(cuts[1])


def _written(moment: dt.datetime) -> str:
    moment = moment.replace(microsecond=0)
    return moment.date().isoformat() if not moment.time() else moment.isoformat(" ")
