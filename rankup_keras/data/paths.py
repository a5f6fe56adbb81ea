"""Files, folders and patterns → a list of files of one format."""

import glob
import os
from collections.abc import Iterable, Set
from pathlib import Path

from rankup_keras.data.data_error import DataError

FORMATS = ("parquet", "csv", "tsv", "tfrecord")
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_ENDINGS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
}
_MOUNTS = {
    "gs": "Mount the bucket with gcsfuse, or copy them with `gcloud storage cp -r`",
    "s3": "Mount the bucket with mount-s3, or copy them with `aws s3 cp --recursive`",
    "hdfs": "Copy them with `hdfs dfs -get`",
}
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def resolve_paths(paths: Paths) -> list[Path]:
    """The files that paths, folders and patterns name, each once, links to it among them.

    Those of one folder or pattern are in the order of their names. Of a folder, files of a known
    ending are taken, in subfolders too; names that begin with `.` or `_` are left out, as the
    marks of Spark and Hadoop begin so. A pattern that matches folders alone, such as `logs/day=*`,
    stands for the files in them.

    Raises:
        DataError: nothing is there, a pattern matches nothing, or a path is of another machine.
    """
    given = [paths] if isinstance(paths, str | bytes | os.PathLike) else list(paths)
    if isinstance(paths, Set):  # whose order differs from process to process
        given = sorted(given, key=os.fsdecode)
    # An empty path, as of a variable that is not set, would be the working directory.
    if not given or not all(map(os.fspath, given)):
        raise DataError("No file is given. Give a path, a folder or a pattern such as 'a/*.csv'.")
    found: dict[Path, Path] = {}
    for item in given:
        for path in _resolve(os.path.expanduser(os.fsdecode(item))):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _resolve(item: str) -> list[Path]:
    scheme, mark, rest = item.partition("://")
    if mark and scheme.isalnum():
        if scheme != "file":
            raise DataError(
                f"Files at {scheme}:// cannot be read directly. "
                f"{_MOUNTS.get(scheme, 'Copy them to this machine')}, and give the folder's path.",
                item,
            )
        item = rest
    path = Path(item)
    if path.is_file():
        return [path]
    if path.is_dir():
        known = _inside(path)
        if not known:
            raise DataError(
                f"The folder holds no file that ends in {sorted(_ENDINGS)}, with or without .gz, "
                ".zst or .bz2. Give the files by a pattern, and their format by `format`.",
                item,
            )
        return known
    if glob.has_magic(item):
        matches = [Path(p) for p in sorted(glob.glob(item, recursive=True))]
        files = [p for p in matches if p.is_file()]
        files = files or [p for folder in matches for p in _inside(folder)]
        if not files:
            raise DataError("The pattern matches no file.", item)
        return files
    near = path.parent
    if not near.is_dir():
        raise DataError(f"There is no such file, nor the folder {str(near)!r}.", item)
    raise DataError(f"There is no such file{_nearest(path)}.", item)


def _inside(folder: Path) -> list[Path]:
    """The files of a known ending in a folder and its subfolders."""
    inside = [p for p in sorted(folder.rglob("*")) if p.is_file() and not _hidden(p, folder)]
    return [p for p in inside if guess_format(p) is not None]


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _nearest(path: Path) -> str:
    import difflib

    names = [entry.name for entry in path.parent.iterdir()]
    close = difflib.get_close_matches(path.name, names, n=1)
    return f"; the nearest name there is {close[0]!r}" if close else ""


def compression_of(path: Path) -> str | None:
    """`"gzip"`, `"zstd"`, `"bz2"` or `None`, by the name's ending."""
    return COMPRESSIONS.get(path.suffix.lower())


def guess_format(path: Path) -> str | None:
    """The format that a file's name tells, or `None`."""
    if compression_of(path):
        path = path.with_suffix("")
    return _ENDINGS.get(path.suffix.lower())


def format_of(paths: list[Path], given: str | None) -> str:
    """The one format of all files.

    Raises:
        DataError: the names imply no format, or several.
    """
    if given is not None:
        if given not in FORMATS:
            raise DataError(f"`format` must be one of {FORMATS}. Received: format={given!r}.")
        return given
    guesses = {path: guess_format(path) for path in paths}
    unknown = [path for path, guess in guesses.items() if guess is None]
    if unknown:
        raise DataError(
            f"The name does not imply a format. Give `format`, one of {FORMATS}.", unknown[0]
        )
    kinds = sorted({str(guess) for guess in guesses.values()})
    if len(kinds) > 1:
        raise DataError(f"All files must have the same format. These have: {kinds}.")
    return kinds[0]
