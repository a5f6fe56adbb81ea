"""CSV and TSV files, plain or compressed, in blocks."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.data_error import DataError
from rankup_keras.data.line_filter import BLOCK, BOM, STAND_IN, LineFilter, shifted
from rankup_keras.data.paths import compression_of
from rankup_keras.data.source import Chunk, Unit

_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bz2": b"BZh"}
_OTHERS = {b"PK\x03\x04": "a zip archive or a spreadsheet", b"\xfd7zX": "compressed by xz"}
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
_WIDTH = "The line has {found} values, but the file has {width} columns."


class CsvSource:
    """Reads text files; every value is text until a feature says what it is."""

    text = True

    def __init__(self, options: CsvOptions, bad_rows: BadRows) -> None:
        self.options = options
        self.bad_rows = bad_rows

    def schema(self, file: Path) -> pa.Schema:
        return pa.schema([(name, pa.string()) for name in self._names(file)])

    def units(self, file: Path) -> list[Unit]:
        return [(file, None)]

    def read(
        self, unit: Unit, columns: Sequence[str], listed: Set[str], rows: int
    ) -> Iterator[Chunk]:
        file = unit[0]
        names = self._names(file)
        counts = Counter(names)
        options = self.options
        delimiter = options.delimiter or ","
        several = len(delimiter) > 1
        lines = LineFilter(
            _stream(file),
            None if options.quote is None or options.multiline else options.quote.encode(),
            None if options.multiline else self._header_line(file, names),
            1 if options.header else 0,
            delimiter.encode() if several else None,
            None if options.multiline else self._misfit(len(names)),
        )
        invalid: list[Any] = []
        told = 0

        def refuse(row: Any) -> str:
            invalid.append(row)
            return "skip"

        first = 0
        try:
            reader = pacsv.open_csv(
                pa.PythonFile(lines, mode="r"),
                read_options=pacsv.ReadOptions(
                    use_threads=False,
                    # Of two columns of one name none is read.
                    column_names=[
                        f"{name}\0{i}" if counts[name] > 1 else name for i, name in enumerate(names)
                    ],
                    # About `rows` rows; a row cannot be longer than a block.
                    block_size=max(1 << 20, rows * 16 * min(len(names), 64)),
                    encoding=options.encoding,
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=STAND_IN if several else delimiter,
                    quote_char=options.quote or False,
                    newlines_in_values=options.multiline,
                    invalid_row_handler=refuse,
                ),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.binary()),
                    include_columns=list(columns),
                    strings_can_be_null=False,
                ),
            )
            while True:
                try:
                    batch = reader.read_next_batch()
                except StopIteration:
                    break
                self._report(file, lines, invalid[told:], len(names))
                told = len(invalid)
                numbers = np.array([row.number for row in invalid], np.int64)

                def line(row: int, gaps: np.ndarray = numbers) -> int:
                    return lines.line_of(shifted(row + 1, gaps))

                for offset in range(0, batch.num_rows, rows):
                    yield Chunk(batch.slice(offset, rows), file, first + offset, line)
                first += batch.num_rows
            self._report(file, lines, invalid[told:], len(names))
        except DataError:
            raise
        except (OSError, pa.ArrowException, UnicodeError) as error:
            if lines.refused:
                # What the parser stumbled over may follow from a line that was found to be wrong.
                self._report(file, lines, [], len(names))
            if isinstance(error, pa.ArrowInvalid) and "Empty CSV" in str(error):
                return
            raise _unreadable(file, lines.error or error, lines.line_of(first + 1)) from error

    def _misfit(self, width: int) -> Callable[[bytes], str | None]:
        """What is wrong with a line that the parser could not quote, not being UTF-8."""

        def reason(line: bytes) -> str | None:
            try:
                found = len(self._split(line.decode("latin-1").rstrip("\r\n")))
            except csv.Error as error:
                return f"The line cannot be read: {error}."
            return None if found == width else _WIDTH.format(found=found, width=width)

        return reason

    def _split(self, text: str) -> list[str]:
        quote, delimiter = self.options.quote, self.options.delimiter or ","
        if len(delimiter) > 1:
            text, delimiter = text.replace(delimiter, STAND_IN), STAND_IN
        quoting: Any = csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL
        return next(csv.reader([text], delimiter=delimiter, quotechar=quote, quoting=quoting), [])

    def _report(self, file: Path, lines: LineFilter, invalid: list[Any], width: int) -> None:
        refused, lines.refused = lines.refused, []
        for line, text, reason in refused:
            self.bad_rows.report(file, line, None, text, reason)
        for row in invalid:
            line = lines.line_of(row.number)
            reason = _WIDTH.format(found=row.actual_columns, width=width)
            self.bad_rows.report(file, line, None, row.text, reason)

    def _names(self, file: Path) -> list[str]:
        line = self._first_line(file)
        if not self.options.header:
            return list(self.options.columns or ())
        try:
            names = self._split(line.decode(self.options.encoding, "replace"))
        except csv.Error as error:
            raise DataError(f"The header cannot be read: {error}.", file, line=1) from error
        if self.options.columns is not None and list(self.options.columns) != names:
            raise DataError(
                f"The header is {names}, and `columns` says {list(self.options.columns)}. Remove "
                "`columns`, or set `header: false` where the first line is data.",
                file,
                line=1,
            )
        return names

    def _header_line(self, file: Path, names: list[str]) -> bytes:
        if self.options.header:
            return self._first_line(file)
        return (self.options.delimiter or ",").join(names).encode(self.options.encoding, "replace")

    def _first_line(self, file: Path) -> bytes:
        if file.stat().st_size == 0:
            raise DataError("The file is empty.", file)
        try:
            stream = _stream(file)
            head = b""
            while b"\n" not in head and not (len(head) >= BLOCK and b"\r" in head):
                block = stream.read(1 << 16)
                if not block:
                    break
                head += block
        except OSError as error:
            raise _unreadable(file, error, 1) from error
        if not head:
            raise DataError("The file is empty.", file)
        head = head.removeprefix(BOM)
        if head[:4] == b"PAR1":
            raise DataError("This is a Parquet file. Give `format: parquet`.", file)
        if head[:2] in _WIDE_BOMS or b"\0" in head.split(b"\n", 1)[0]:
            raise DataError("The file is UTF-16 or UTF-32. Write it as UTF-8.", file, line=1)
        return head.split(b"\n" if b"\n" in head else b"\r", 1)[0].rstrip(b"\r")


def _stream(file: Path) -> Any:
    with file.open("rb") as raw:
        head = raw.read(4)
    found = next((name for name, magic in _MAGIC.items() if head.startswith(magic)), None)
    told = compression_of(file)
    if head in _OTHERS:
        raise DataError(
            f"The file is {_OTHERS[head]}. Write it as plain text, or compress it by gzip, zstd or "
            "bzip2.",
            file,
        )
    if told is not None and found != told:
        raise DataError(
            f"The name ends in {file.suffix}, but the content is not {told}: it begins with "
            f"{head!r}.",
            file,
        )
    return pa.input_stream(str(file), compression=found)


def _unreadable(file: Path, error: Exception, line: int) -> DataError:
    text = str(error)
    if "runcated" in text or "unexpected end" in text.lower():
        return DataError(
            f"The compressed file ends abruptly after line {line - 1}: it was cut short. "
            "Copy it again.",
            file,
            line=line,
        )
    if isinstance(error, UnicodeError):
        return DataError(f"The text is not in the stated encoding: {text}.", file, line=line)
    if isinstance(error, OSError):
        return DataError(
            f"The file is damaged: {text.splitlines()[0]}. Copy it again.", file, line=line
        )
    return DataError(f"The text cannot be parsed: {text.splitlines()[0]}", file, line=line)
