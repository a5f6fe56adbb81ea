"""Version directories: the next number, a private sibling to write to, the atomic rename."""

import contextlib
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np

MAX_VERSION = 2**63 - 1


def versions(base: str | os.PathLike) -> list[int]:
    """The version numbers under `base`, ascending: the directories that a server would consider.

    Args:
        base: the model's base path; it need not exist.

    Example:

    ```python
    import os
    import rankup_keras as rk

    os.makedirs("saved_models/ranker/1")
    os.makedirs("saved_models/ranker/12")
    assert rk.serving.versions("saved_models/ranker") == [1, 12]
    ```
    """
    base = Path(base)
    if not base.is_dir():
        return []
    names = [p.name for p in base.iterdir() if p.is_dir()]
    # A server's versions are int64. More digits than 19 never are, and Python refuses 4,301.
    numbers = [int(n) for n in names if n.isascii() and n.isdigit() and len(n) <= 19]
    return sorted(number for number in numbers if number <= MAX_VERSION)


def version_path(base: str | os.PathLike, version: int | None = None) -> Path:
    """The directory of one version.

    Args:
        base: the model's base path.
        version: the version's number. Defaults to the newest.

    Example:

    ```python
    import os
    import rankup_keras as rk

    os.makedirs("saved_models/ranker/12")
    assert str(rk.serving.version_path("saved_models/ranker")) == "saved_models/ranker/12"
    ```

    Raises:
        FileNotFoundError: there is no such version, or none at all.
    """
    found = versions(base)
    if version is None:
        if not found:
            raise FileNotFoundError(f"`base` has no version directory. Received: base={base!r}")
        version = found[-1]
    if version not in found:
        raise FileNotFoundError(f"`version` must be one of {found}. Received: version={version}")
    return Path(base) / str(version)


def check_destination(base: str | os.PathLike, version: int | None) -> None:
    """Refuses a path or version that cannot be published, before the work of writing it."""
    if "://" in os.fspath(base):
        raise ValueError(
            "`path` must be a local directory, since object stores cannot rename a directory "
            f"atomically: export locally and upload, saved_model.pb last. Received: {base!r}"
        )
    if version is None:
        return
    whole = isinstance(version, int | np.integer) and not isinstance(version, bool)
    if not whole or not 0 <= version <= MAX_VERSION:
        raise ValueError(
            "`version` must be an integer that is not negative and fits into int64. "
            f"Received: version={version!r}"
        )
    if (Path(base) / str(version)).exists():
        raise _taken(Path(base), version)


@contextlib.contextmanager
def unpublished_directory(base: str | os.PathLike) -> Iterator[Path]:
    """A directory beside the versions to write one in; removed unless `publish` renamed it.

    A server ignores names that are not integers, so it sees nothing of it before the rename. What
    an earlier process on this machine left behind when it was killed is removed first.
    """
    base = Path(base)
    base.mkdir(parents=True, exist_ok=True)
    sweep(base)
    place = base / f"{_prefix()}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def publish(place: Path, version: int | None = None) -> Path:
    """Renames a finished directory into its version, in one step that no reader sees half-done.

    Args:
        place: the directory that `unpublished_directory` gave, complete.
        version: the number to give it. Defaults to one above the highest; if another export
            takes that number first, the one above it.
    """
    base = place.parent
    _flush(place)
    while True:
        number = version if version is not None else max(versions(base), default=0) + 1
        target = base / str(number)
        if not target.exists():
            try:
                # Two exports may race to one name: renaming onto a directory with content
                # fails, so the loser is told and takes the next number.
                os.rename(place, target)
                return target
            except OSError:
                if not target.exists():
                    raise
        if version is not None:
            raise _taken(base, version)


def sweep(base: Path) -> None:
    """Removes what exports that died on this machine left beside the versions."""
    for left in base.glob(f"{_prefix()}*-*"):
        pid = left.name.split("-")[-2]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _prefix() -> str:
    """How names of this machine's unfinished directories begin."""
    return f".exporting-{socket.gethostname().replace('-', '_')}-"


def _taken(base: Path, version: int) -> FileExistsError:
    return FileExistsError(
        f"`version` must be a number that is not taken, since a version never changes once it may "
        f"have been served. Received: version={version}, taken in {str(base)!r}: {versions(base)}"
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _flush(place: Path) -> None:
    """Forces the files to disk, so that a power cut cannot leave a renamed directory empty."""
    for folder, _, names in os.walk(place):
        for name in [*names, "."]:
            handle = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
