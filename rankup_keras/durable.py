"""Files that a crash, a full disk or a second process cannot leave half written."""

import contextlib
import errno
import json
import os
import pathlib
import tempfile
import zlib
from collections.abc import Iterator

MANIFEST = "manifest.json"


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes text, the whole of it or nothing; makes the folder."""
    with blamed(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_text(text, encoding="utf-8")
            flush(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def append_line(path: pathlib.Path, text: str) -> None:
    """Adds a line, the whole of it or nothing."""
    size = path.stat().st_size if path.exists() else 0
    with blamed(path):
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError:
            if path.is_file():
                os.truncate(path, size)
            raise


@contextlib.contextmanager
def blamed(path: str | os.PathLike[str]) -> Iterator[None]:
    """Gives errors of the operating system that name no file the path of one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)
        raise


def is_full(error: BaseException) -> bool:
    """Whether an error, of any library, says that a disk or a quota is full."""
    full = (errno.ENOSPC, errno.EDQUOT)
    texts = [os.strerror(number) for number in full]
    return getattr(error, "errno", None) in full or any(text in str(error) for text in texts)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises the `OSError` that writing into a folder, or making it, would end in."""
    folder = pathlib.Path(path).absolute()
    while not folder.exists():
        folder = folder.parent
    with blamed(path), tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0")


def seal(folder: pathlib.Path) -> None:
    """Writes sizes and checksums of a folder's files beside them, and flushes all to the disk."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name != MANIFEST)
    manifest = {path.name: [path.stat().st_size, checksum(path)] for path in files}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    for path in [*files, folder / MANIFEST, folder]:
        flush(path)


def find_damage(folder: pathlib.Path) -> str | None:
    """What is wrong with a sealed folder, or `None`."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        for name, (size, expected) in manifest.items():
            path = folder / name
            if not path.is_file():
                return f"'{name}' is missing"
            if path.stat().st_size != size:
                return f"'{name}' has {path.stat().st_size} bytes instead of {size}"
            if checksum(path) != expected:
                return f"'{name}' does not have the checksum that it was written with"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return f"its list of files cannot be read ({type(error).__name__})"
    return None


def checksum(path: pathlib.Path) -> int:
    """CRC-32 of a file."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value


def flush(path: pathlib.Path) -> None:
    """Forces a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
