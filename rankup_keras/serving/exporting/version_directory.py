"""Version directories: the next number, a private sibling to write to, the atomic rename."""

import contextlib
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".exporting"


def versions(base: str | os.PathLike) -> list[int]:
    """The version numbers under `base`, ascending: the directories that a server would consider."""
    base = Path(base)
    if not base.is_dir():
        return []
    return sorted(int(p.name) for p in base.iterdir() if p.is_dir() and _is_number(p.name))


def version_path(base: str | os.PathLike, version: int | None = None) -> Path:
    """The directory of one version, by default of the newest."""
    found = versions(base)
    if version is None:
        if not found:
            raise FileNotFoundError(f"`base` has no version directory. Received: base={base!r}")
        version = found[-1]
    if version not in found:
        raise FileNotFoundError(f"`version` must be one of {found}. Received: version={version}")
    return Path(base) / str(version)


@contextlib.contextmanager
def writing(base: str | os.PathLike) -> Iterator[Path]:
    """A directory beside the versions to write one in; removed unless `publish` renamed it.

    A server ignores names that are no integers, so nothing in it is seen before the rename. What
    an earlier process on this machine left behind when it was killed is swept up first.
    """
    if "://" in os.fspath(base):
        raise ValueError(
            "`path` must be a local directory, since object stores cannot rename a directory "
            f"atomically: export locally and upload, saved_model.pb last. Received: {base!r}"
        )
    base = Path(base)
    base.mkdir(parents=True, exist_ok=True)
    sweep(base)
    host = socket.gethostname().replace("-", "_")
    place = base / f"{_PREFIX}-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def publish(place: Path, version: int | None = None) -> Path:
    """Renames a finished directory into its version, in one step that no reader sees half-done.

    Args:
        place: the directory that `writing` gave, complete.
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
            raise FileExistsError(
                f"`version` must be a number that is not taken. Received: version={version}, and "
                f"{target} exists. A version never changes once it may have been served."
            )


def sweep(base: Path) -> None:
    """Removes what exports that died on this machine left beside the versions."""
    host = socket.gethostname().replace("-", "_")
    for left in base.glob(f"{_PREFIX}-{host}-*-*"):
        pid = left.name.split("-")[-2]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def check_version(base: str | os.PathLike, version: int | None) -> None:
    """Refuses a version that cannot be published, before the work of writing it."""
    if version is None:
        return
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise ValueError(
            f"`version` must be an integer that is not negative. Received: version={version!r}"
        )
    if (Path(base) / str(version)).exists():
        raise FileExistsError(
            f"`version` must be a number that is not taken. Received: version={version}, "
            f"taken in {os.fspath(base)!r}: {versions(base)}"
        )


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
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
