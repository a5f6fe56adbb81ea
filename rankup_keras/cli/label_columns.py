"""Which columns are labels, and which of their values are positive."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rankup_keras.cli.failures import RunError, nearest
from rankup_keras.cli.sampling import Sample
from rankup_keras.data.data_error import DataError
from rankup_keras.features.conversion import NO_NUMBER
from rankup_keras.features.positive import Positive
from rankup_keras.features.target import family

LABEL = re.compile(
    r"(^|_)(label|target|click|clicked|conversion|converted|purchase|purchased|buy|bought|like|liked|y)"
    r"(_|$)"
)
# Names of outcomes that may as well be known beforehand.
_OUTCOME = re.compile(
    r"(^|_)(book|booked|booking|order|ordered|paid|install|installed|download|downloaded|subscribe"
    r"|subscribed|sign_?up|signed_up|share|shared|follow|followed|favorite|watched|played|cart)(_|$)"
)
_WEAK = re.compile(r"^(is|has|did)_")
_RATING = re.compile(r"(^|_)(rating|ratings|stars|score)(_|$)")
_ASKED = re.compile(r"(.+?)\s*(>=|<=|>|<|=)\s*(.+)")
_WORDS = {"no": "yes", "n": "y", "false": "true", "f": "t"}
# Values of a rating, at most.
_STEPS = 21


@dataclasses.dataclass
class Label:
    """A label's column.

    Attributes:
        name: the column.
        positive: the rule of `Task(positive=...)`, `None` for numbers of 0 to 1.
        rate: share of positives among the known.
        missing: rows of the sample without a label.
        why: for people.
    """

    name: str
    positive: Any
    why: str
    rate: float = 0.0
    missing: int = 0


def plain(name: str) -> str:
    """A column's name in lower case, its words joined by `_`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return re.sub(r"\W+", "_", words).strip("_")


def find_labels(sample: Sample, names: Sequence[str], asked: Sequence[str]) -> list[Label]:
    """The labels that are asked for, or those that look like some.

    Args:
        sample: rows of the files.
        names: the columns.
        asked: columns, each perhaps with a rule: `"rating>=4"`, `"answer=yes"`.

    Raises:
        DataError: a column that is asked for is not there.
        RunError: the values of a label do not say which are positive.
    """
    if asked:
        return [_asked(sample, names, item) for item in asked]
    guessed = {name: _counted(sample, name, _guess(sample.array(name))) for name in names}
    guessed = {name: label for name, label in guessed.items() if label and 0 < label.rate < 1}
    binary = [name for name, label in guessed.items() if not label.why.startswith("a rating")]
    found = [name for name in binary if LABEL.search(plain(name))]
    outcomes = [n for n in binary if n not in found and _OUTCOME.search(plain(n))]
    found += [n for n in outcomes if not found or _follows(sample, guessed, n, found)]
    if not found:
        ratings = [n for n in guessed if n not in binary and _RATING.search(plain(n))]
        weak = [name for name in binary if _WEAK.match(plain(name))]
        found = ratings[:1] or (weak if len(weak) == 1 else [])
    if not found and len(binary) == 1:
        found = binary
        guessed[binary[0]].why += "; the only column of two such values"
    return [guessed[name] for name in found]


def _follows(sample: Sample, labels: dict[str, Label], name: str, firsts: list[str]) -> bool:
    """Whether a column is positive only where a label is, as a purchase after a click."""
    own = _positives(sample, labels[name])
    return own.sum() >= 10 and any(
        not np.any(own & ~_positives(sample, labels[first])) for first in firsts
    )


def _positives(sample: Sample, label: Label) -> np.ndarray:
    values, _ = _rule(label).of_arrow(sample.array(label.name))
    return np.asarray(values.to_numpy(zero_copy_only=False) > 0.5)


def _rule(label: Label) -> Positive:
    return Positive("> 0.5" if label.positive is None else label.positive)


def _asked(sample: Sample, names: Sequence[str], item: str) -> Label:
    if item in names:
        label = _guess(sample.array(item))
        if label is None:
            values = sample.array(item).unique().drop_null()
            some = _texts(values[:6].to_pylist())
            ways = [f"--label '{item}={some[-1]}'"] if some else []
            if family(values.type) != "text":
                ways.insert(0, f"--label '{item}>={some[-1]}'")
            raise RunError(
                f"The label {item!r} has {len(values):,} values, such as {', '.join(some)}. Say "
                f"which are positive, as in {' or '.join(ways)}."
            )
        return _counted(sample, item, label)
    form = _ASKED.fullmatch(item)
    if form is None or form[1] not in names:
        name = form[1] if form else item
        message = f"There is no column {name!r} for a label. {nearest(name, names)}"
        raise DataError(message, sample.first)
    rule = form[3] if form[2] == "=" else f"{form[2]} {form[3]}"
    try:
        Positive(rule)
    except ValueError as error:
        raise RunError(str(error)) from None
    found = _counted(sample, form[1], Label(form[1], rule, "as asked"))
    _check_both(sample, found, item)
    return found


def _check_both(sample: Sample, label: Label, asked: str) -> None:
    """Refuses a rule that tells no values apart, if these are few or all rows were read."""
    values = sample.array(label.name).unique().drop_null()
    if 0 < label.rate < 1 or not (sample.whole or len(values) <= _STEPS):
        return
    told = ", ".join(map(repr, _texts(values[:6].to_pylist())))
    raise RunError(
        f"By --label {asked!r} {'every' if label.rate else 'no'} row is positive. {label.name!r} "
        f"has {len(values):,} values, such as {told}."
        + (" A row without one is no negative: fill it." if label.rate and label.missing else "")
    )


def _guess(array: pa.Array) -> Label | None:
    """The rule that fits the values, if one does."""
    kind = family(array.type)
    if kind not in ("text", "integer", "number"):
        return None
    if pa.types.is_boolean(array.type):
        return Label("", None, "true and false")
    values = array.unique().drop_null().to_pylist()
    if len(values) > _STEPS + len(NO_NUMBER):
        return None
    known = sorted({text.strip() for text in _texts(values)}.difference(NO_NUMBER))
    try:
        numbers = [float(text) for text in known]
    except ValueError:
        return _words(known)
    if not numbers:
        return None
    if set(numbers) <= {0.0, 1.0}:
        return Label("", None, "0 and 1")
    if set(numbers) == {-1.0, 1.0}:
        return Label("", "> 0", "-1 and 1")
    top = max(numbers)
    if top < 3 or len(numbers) < 4 or len(numbers) > _STEPS:
        return None
    bound = min(number for number in numbers if number >= 0.75 * top)
    return Label("", f">= {bound:g}", f"a rating up to {top:g}; choose the threshold")


def _texts(values: Sequence[Any]) -> list[str]:
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values]


def _words(known: Sequence[str]) -> Label | None:
    lower = {text.lower(): text for text in known}
    for no, yes in _WORDS.items():
        if set(lower) <= {no, yes} and yes in lower:
            rule = [text for text in known if text.lower() == yes]
            return Label("", rule[0] if len(rule) == 1 else rule, f"{yes} and {no}")
    return None


def _counted(sample: Sample, name: str, label: Any) -> Any:
    """The label of a column with its counts; `None` where there is none."""
    if label is None:
        return None
    label.name = name
    labels, problems = _rule(label).of_arrow(sample.array(name))
    values = labels.to_numpy(zero_copy_only=False)
    label.missing = int(np.isnan(values).sum())
    if label.missing < len(values):
        label.rate = float(np.nanmean(values))
    if problems:
        raise RunError(f"The label {label.name!r}: {problems[0].reason}")
    return label
