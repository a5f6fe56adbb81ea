"""Numbers that are not what they seem: with thousands separators, with a unit, or no value."""

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankup_keras.features.conversion import GROUPED, NO_NUMBER

_NUMBER = r"[-+]?\d[\d.,' ]*"
_SIGN = re.compile(rf"[$€£¥₹]\s?{_NUMBER}|{_NUMBER}[$€£¥₹%]")
# Letters may also be those of a code, so that there has to be a fraction.
_LETTERS = re.compile(rf"[A-Z]{{3}}\s?{_NUMBER}|{_NUMBER}[A-Za-z]{{1,3}}")
_FRACTION = re.compile(r"\d[.,]\d")
_PLAIN = re.compile(_NUMBER)
_ANY = r"^\s*[-+]?\d*[.,]?\d+\s*$"
_SHORT = re.compile(rf"{_NUMBER}(k|K|m|M|b|B|bn|Bn|G|T|Tsd|Mio|Mrd)\.?")


def grouped(values: pa.Array) -> bool:
    """Whether values of text are numbers, some of them with thousands separators."""
    text = values.drop_null()
    text = text.filter(pc.invert(_known_missing(pc.utf8_trim_whitespace(text))))
    forms = [pc.match_substring_regex(text, form) for form in GROUPED.values()]
    plain_number = pc.match_substring_regex(text, _ANY)
    found = pc.or_(*forms)
    return bool(pc.any(found).as_py() and pc.all(pc.or_(found, plain_number)).as_py())


def with_units(values: Sequence[str]) -> bool:
    """Whether values are numbers with a currency or another unit."""
    values = [value.strip() for value in values if value.strip() not in NO_NUMBER]
    # Some values may be words for a missing one, as - and unknown are.
    forms = [(_SIGN, 0.9)]
    if any(_FRACTION.search(value) for value in values):
        forms.append((_LETTERS, 0.98))
    return any(
        sum(bool(form.fullmatch(value)) for value in values) > share * len(values)
        for form, share in forms
    )


def numbers_but_for(values: pa.Array) -> list[str]:
    """The few words among values of text that are numbers otherwise; none where they are not."""
    counts = pc.utf8_trim_whitespace(values.drop_null()).value_counts()
    text = counts.field("values")
    others = pc.invert(pc.or_(pc.match_substring_regex(text, _ANY), _known_missing(text)))
    words = counts.filter(others)
    rare = 2 * (pc.sum(words.field("counts")).as_py() or 0) < len(values)
    return sorted(words.field("values").to_pylist()) if rare and len(words) <= 5 else []


def _known_missing(text: pa.Array) -> pa.Array:
    return pc.is_in(text, pa.array(NO_NUMBER))


def shortened(values: Sequence[str]) -> bool:
    """Whether values are numbers, the large ones as in 1.2k or 3 Mio, the others perhaps plain."""
    values = [value.strip() for value in values if value.strip() not in NO_NUMBER]
    short = [value for value in values if _SHORT.fullmatch(value)]
    plain = sum(bool(_PLAIN.fullmatch(value)) for value in values)
    return (
        any(_FRACTION.search(value) for value in short)
        and len(short) >= 0.05 * len(values)
        and len(short) + plain > 0.98 * len(values)
    )


def point_groups(values: pa.Array) -> bool:
    """Whether points seem to part thousands: 1.234 beside 532, and never 1.5 or 0.125."""
    text = pc.utf8_trim_whitespace(values.drop_null()).to_pylist()
    pointed = [value for value in text if "." in value]
    whole = [value for value in text if re.fullmatch(r"[-+]?\d{1,3}", value)]
    return (
        len(pointed) >= 20
        and len(whole) >= 5
        and all(re.match(GROUPED[","], value) for value in pointed)
    )


def mark_of_missing(known: np.ndarray) -> str:
    """A question about the one negative number, if it looks like what stands for no value."""
    least = known.min()
    marks = known == least
    if (
        least not in (-1, -9, -99, -999, -9999)
        or marks.mean() < 0.01
        or known[~marks].min(initial=0) < 0
    ):
        return ""
    return f"; if {least:.0f} ({marks.mean():.0%} of rows) stands for no value, leave it empty"
