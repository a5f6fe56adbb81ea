"""`PublicSet`: a public data set in its true format, with features and tasks made ready."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rankup_keras.data.data_error import DataError
from rankup_keras.data.files import Files
from rankup_keras.data.row_filters import Where
from rankup_keras.data.statistics import Statistics
from rankup_keras.features import FeatureSet


@dataclasses.dataclass
class PublicSet:
    """Rows to train on, to validate with and to test, read from the user's copy.

    Attributes:
        features: the ready-made features, which `adapt` makes learn.
        tasks: names of the tasks.
        train: `Files` to train on.
        valid: `Files` for early stopping and other choices.
        test: `Files` for the figures that are reported.
        terms: the publisher's terms, in short.
    """

    features: FeatureSet
    tasks: list[str]
    train: Files
    valid: Files
    test: Files
    terms: str

    def adapt(self, cache: str | os.PathLike[str] | None = None) -> Statistics:
        """Makes the features learn from the rows to train on; see `rankup_keras.data.adapt`."""
        from rankup_keras.data.adapt_from_files import adapt

        return adapt(self.features, self.train, cache)


def make_set(
    features: FeatureSet,
    tasks: Sequence[str],
    terms: str,
    parts: Sequence[tuple[Sequence[Path], Sequence[Where]]],
    **settings: Any,
) -> PublicSet:
    """A set of three parts, each with its files and conditions, all read in one way."""
    train, valid, test = (
        Files(list(paths), features, list(tasks), where=where, **settings) for paths, where in parts
    )
    return PublicSet(features, list(tasks), train, valid, test, terms)


def find(source: str | os.PathLike[str], *names: str) -> Path:
    """A file of a set by one of its names, plain or compressed, in a folder or beside it.

    Raises:
        DataError: it is not there.
    """
    place = Path(source).expanduser()
    if place.is_file():
        place = place.parent
    for name in names:
        for ending in ("", ".gz", ".zst"):
            for path in (place / f"{name}{ending}", *sorted(place.glob(f"*/{name}{ending}"))):
                if path.is_file():
                    return path
    raise DataError(f"There is no {' or '.join(names)}, plain or with .gz or .zst.", place)


def find_all(source: str | os.PathLike[str], test: Callable[[str], bool], what: str) -> list[Path]:
    """All files of a folder whose names a test accepts, in their order.

    Raises:
        DataError: there is none.
    """
    place = Path(source).expanduser()
    found = [path for path in sorted(place.rglob("*")) if path.is_file() and test(path.name)]
    if not found:
        raise DataError(f"There is no file {what} in the folder.", place)
    return found
