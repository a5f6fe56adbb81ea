"""MovieLens-100k's files, as GroupLens and as RecBole write them, to one and the same tables."""

import dataclasses
import hashlib
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

# The order of the flags in GroupLens's u.item.
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime",
    "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery",
    "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


class User(NamedTuple):
    """A line of the table of users."""

    user_id: str
    age: str
    gender: str
    occupation: str
    zip_code: str


class Item(NamedTuple):
    """A line of the table of items; `genres` are joined by `|`."""

    item_id: str
    movie_title: str
    release_year: str
    genres: str


@dataclasses.dataclass(frozen=True)
class Tables:
    """The three tables.

    Attributes:
        ratings: int64 (n, 4): user, item, rating, timestamp, in the file's order.
        users: string array (users, 5), the fields of `User`.
        items: string array (items, 4), the fields of `Item`.
    """

    ratings: np.ndarray
    users: np.ndarray
    items: np.ndarray

    def checksums(self) -> dict[str, str]:
        """SHA-256 of every table's content, the same for either form of the files."""
        content = {"ratings": self.ratings.astype("<i8").tobytes()}
        for name in ("users", "items"):
            lines = ("\t".join(line) for line in getattr(self, name))
            content[name] = "\n".join(lines).encode()
        return {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


def read_tables(path: pathlib.Path) -> Tables:
    """Reads a folder or an archive (.zip, .whl) that has the files in either form.

    Raises:
        FileNotFoundError: nothing is there, or not all files of one form.
        ValueError: the archive is damaged, or a line is not in its form.
    """
    files = _open(path)
    for names, read in _FORMS.items():
        if all(name in files for name in names):
            return read(*(files[name] for name in names))
    forms = " or ".join(", ".join(names) for names in _FORMS)
    raise FileNotFoundError(f"MovieLens-100k is not in {path}: it must hold {forms}.")


def _open(path: pathlib.Path) -> dict[str, bytes]:
    """The content of every file that a form needs and that is there, by its name."""
    wanted = {name for names in _FORMS for name in names}
    if path.is_dir():
        folders = (path, path / "ml-100k")
        found = [f / name for f in folders for name in wanted if (f / name).is_file()]
        return {file.name: file.read_bytes() for file in found}
    if not path.is_file():
        raise FileNotFoundError(f"MovieLens-100k is not at {path}: there is no such file.")
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is not a whole zip archive: {error}") from error
    with archive:
        members = {m.rsplit("/", 1)[-1]: m for m in archive.namelist()}
        try:
            return {name: archive.read(members[name]) for name in wanted if name in members}
        except Exception as error:  # zlib.error, BadZipFile, EOFError: all mean damage
            raise ValueError(f"{path} is damaged: {error}") from error


def _read_grouplens(ratings: bytes, users: bytes, items: bytes) -> Tables:
    item_lines = []
    for line in _lines("u.item", items.decode("latin-1"), "|", 5 + len(GENRES)):
        title, year = _split_title(line[1])
        flags = zip(GENRES, line[5:], strict=True)
        item_lines.append(Item(line[0], title, year, "|".join(g for g, on in flags if on == "1")))
    return _tables(
        list(_lines("u.data", ratings.decode("latin-1"), "\t", 4)),
        [User(*line) for line in _lines("u.user", users.decode("latin-1"), "|", 5)],
        item_lines,
    )


def _read_recbole(ratings: bytes, users: bytes, items: bytes) -> Tables:
    item_lines = []
    wanted = ("item_id", "movie_title", "release_year", "class")
    for item_id, title, year, genres in _typed("ml-100k.item", items, wanted):
        if not re.fullmatch(r"\d{4}", year):
            title, year = _split_title(title)
        # Sic: RecBole's file misspells the one film that GroupLens has no title of.
        title = "unknown" if title == "unkonwn" else title
        item_lines.append(Item(item_id, title.strip(), year, "|".join(genres.split())))
    return _tables(
        list(_typed("ml-100k.inter", ratings, ("user_id", "item_id", "rating", "timestamp"))),
        [User(*line) for line in _typed("ml-100k.user", users, User._fields)],
        item_lines,
    )


_FORMS: dict[tuple[str, str, str], Callable[[bytes, bytes, bytes], Tables]] = {
    ("u.data", "u.user", "u.item"): _read_grouplens,
    ("ml-100k.inter", "ml-100k.user", "ml-100k.item"): _read_recbole,
}


def _tables(ratings: list[list[str]], users: list[User], items: list[Item]) -> Tables:
    try:
        numbers = np.array(ratings, dtype=np.float64).astype(np.int64).reshape(-1, 4)
        users = sorted(users, key=lambda user: int(user.user_id))
        items = sorted(items, key=lambda item: int(item.item_id))
    except ValueError as error:
        raise ValueError(f"MovieLens-100k's ids, ratings and times are numbers: {error}") from error
    tables = Tables(
        numbers,
        np.array(users, dtype=str).reshape(-1, len(User._fields)),
        np.array(items, dtype=str).reshape(-1, len(Item._fields)),
    )
    for column, name in enumerate(("users", "items")):
        unknown = np.setdiff1d(numbers[:, column].astype(str), getattr(tables, name)[:, 0])
        if len(unknown):
            raise ValueError(
                f"The ratings name {name} that the table of {name} lacks: {unknown[:5].tolist()}"
            )
    return tables


def _lines(name: str, text: str, separator: str, columns: int) -> Iterator[list[str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line := line.rstrip("\r"):
            values = line.split(separator)
            if len(values) != columns:
                raise ValueError(
                    f"{name}, line {number}: {len(values)} values, not {columns}: {line[:80]!r}"
                )
            yield values


def _typed(name: str, data: bytes, wanted: tuple[str, ...]) -> Iterator[list[str]]:
    """Lines of a table with RecBole's header, `name:type` a column."""
    text = data.decode("utf-8")
    header = [column.split(":")[0] for column in text.split("\n", 1)[0].strip().split("\t")]
    missing = set(wanted) - set(header)
    if missing:
        raise ValueError(f"{name} lacks the columns {sorted(missing)}; it has {header}")
    places = [header.index(column) for column in wanted]
    lines = _lines(name, text, "\t", len(header))
    next(lines)
    for line in lines:
        yield [line[place] for place in places]


def _split_title(title: str) -> tuple[str, str]:
    """`"Toy Story (1995)"` to its title and its year; films on video have `(V)` behind."""
    match = re.fullmatch(r"(.*?)\s*\((\d{4})\)\s*(?:\(T?V\))?\s*", title)
    return (match[1], match[2]) if match else (title.strip(), "")
