"""How a text file is written, by its first lines: delimiter, header, decimal commas, lists."""

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from rankup_keras.data.data_error import DataError
from rankup_keras.data.paths import guess_format

_HEAD = 1 << 18
_LINES = 500
_DELIMITERS = (",", ";", "\t", "|")
_GROUPS = r"[1-9]\d{0,2}(%s\d{3})+"
_NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+|\d{1,3}([.,]\d{3})+([.,]\d+)?)([eE][-+]?\d+)?")
# 1,234 and 1.234 may have thousands separators: they say nothing of the decimal mark.
_COMMA = re.compile(rf"(?!{_GROUPS % ','}$)[-+]?(\d+|{_GROUPS % '[.]'}),\d+")
_POINT = re.compile(rf"(?!{_GROUPS % '[.]'}$)[-+]?(\d+|{_GROUPS % ','})\.\d+")
_PARQUET = b"PAR1"


def format_by_content(file: Path) -> str | None:
    """The format of a file whose name does not tell it: Parquet, or text as CSV.

    Raises:
        DataError: it is JSON or a zip archive, which would be read as odd text.
    """
    kind = guess_format(file)
    if kind is not None:
        return kind
    head = _head(file)
    if head.startswith(_PARQUET):
        return "parquet"
    json = re.match(rb"(?:\xef\xbb\xbf)?\s*(\[\s*)?\{\s*[\"}]", head)
    if json is not None:
        lines = "" if json[1] else ", lines=True"
        how = f"pandas.read_json({file.name!r}{lines}).to_parquet({file.stem + '.parquet'!r})"
        raise DataError(f"JSON is not read. Write it as Parquet or CSV: `{how}`.", file)
    if head.startswith(b"PK\x03\x04"):
        reason = "It is a zip archive, as those of Excel are. Write its rows as Parquet or CSV."
        raise DataError(reason, file)
    return None if b"\0" in head else "csv"


def sniff(file: Path, kind: str, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options of a text file that differ from the defaults, beside those that are given.

    Args:
        file: a CSV or TSV file, perhaps compressed.
        kind: `"csv"` or `"tsv"`.
        given: options that the user has set; they are kept.

    Returns:
        Options by name, and what was found, as sentences.
    """
    found, told = dict(given), []
    text, encoding = _decoded(_head(file))
    if encoding != "utf-8" and "encoding" not in found:
        found["encoding"] = encoding
        told.append(f"The text is not UTF-8; it is read as {encoding}.")
    lines = [line for line in text.splitlines() if line.strip()][:_LINES]
    usual = "\t" if kind == "tsv" else ","
    delimiter = found.get("delimiter") or _delimiter(lines, usual)
    if delimiter != usual:
        found["delimiter"] = delimiter
        told.append(f"Columns are separated by {delimiter!r}.")
    if not lines or len(delimiter) > 1:
        return found, told
    rows = list(csv.reader(lines, delimiter=delimiter))
    _check_first_lines(file, rows)
    if "header" not in found and "columns" not in found and not _has_header(rows):
        found["header"] = False
        told.append("The first line is data: there is no header. --columns names the columns.")
    if found.get("header") is False and "columns" not in found:
        found["columns"] = [f"column_{number + 1}" for number in range(len(rows[0]))]
    body = rows[1:] if found.get("header", True) else rows
    if delimiter != "," and _decimal_commas(body):
        found["decimal"] = ","
        told.append("Numbers have decimal commas.")
    return found, told


def _check_first_lines(file: Path, rows: list[list[str]]) -> None:
    """Refuses a file that begins with notes: its first line would pass for the header."""
    width, often = Counter(map(len, rows)).most_common(1)[0]
    if len(rows[0]) == 1 < width and often > 0.9 * len(rows):
        at = next(number for number, row in enumerate(rows) if len(row) == width) + 1
        raise DataError(
            f"The first line has one value, {rows[0][0]!r}, and those from line {at} on have "
            f"{width}. Take the lines before the header out of the file.",
            file,
        )


def _head(file: Path) -> bytes:
    with file.open("rb") as raw:
        magic = raw.read(4)
    kinds = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd", b"BZ": "bz2"}
    with pa.input_stream(str(file), compression=kinds.get(magic[:2])) as stream:
        return bytes(stream.read(_HEAD))


def _decoded(head: bytes) -> tuple[str, str]:
    head = head.removeprefix(b"\xef\xbb\xbf")
    whole = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1] or head
    try:
        return whole.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        # Latin-1 has control characters where Windows has dashes, quotes and the euro sign.
        encoding = "cp1252" if any(0x80 <= byte < 0xA0 for byte in whole) else "latin-1"
    try:
        return whole.decode(encoding), encoding
    except UnicodeDecodeError:  # five bytes have no meaning in it
        return whole.decode("latin-1"), "latin-1"


def _delimiter(lines: list[str], usual: str) -> str:
    """The one that cuts the lines into equally many columns, and most of them."""
    best = (False, 1, usual)
    for mark in dict.fromkeys([usual, *_DELIMITERS]):
        counts = [len(row) for row in csv.reader(lines, delimiter=mark)]
        if not counts:
            continue
        width, often = Counter(counts).most_common(1)[0]
        equal = often >= 0.95 * len(counts)
        if width > 1 and (equal, width) > best[:2]:
            best = (equal, width, mark)
    return best[2] if best[0] else usual


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first line differs from the others as names differ from values."""
    votes = 0
    for head, *values in zip(*rows[:200], strict=False):
        known = [value for value in values if value.strip()]
        if not known:
            continue
        numbers = sum(bool(_NUMBER.fullmatch(value.strip())) for value in known)
        if numbers >= 0.9 * len(known):
            votes += -1 if _NUMBER.fullmatch(head.strip()) else 1
        elif head in known:
            votes -= 1
    return votes >= 0


def _decimal_commas(rows: list[list[str]]) -> bool:
    values = [value.strip() for row in rows for value in row]
    commas = sum(bool(_COMMA.fullmatch(value)) for value in values)
    return commas > 0 and commas > 20 * sum(bool(_POINT.fullmatch(value)) for value in values)
