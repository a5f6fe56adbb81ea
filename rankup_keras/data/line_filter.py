"""Takes lines out of a text file that would mislead a CSV parser.

A parser reads a quote that is never closed as one long value and silently swallows the lines that
follow. So lines with an odd number of quotes are removed and reported, as are headers in the middle
of a file, and the line of every row is known.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np

BLOCK = 1 << 20
# The parser needs one character; this one stands in no text.
STAND_IN = "\x1f"
# The mark that some programs put before UTF-8.
BOM = b"\xef\xbb\xbf"


class LineFilter(io.RawIOBase):
    """A stream of the lines of another one that a parser reads correctly.

    Args:
        stream: what to read, at its beginning.
        quote: the quote character as a byte, or `None`.
        header: a line that is not data wherever it occurs, or `None`.
        skip: number of lines at the beginning that are not data.
        delimiter: a delimiter of several bytes, replaced by `STAND_IN`, or `None`.
        misfit: says what is wrong with a line, asked for those that are not UTF-8: a parser that
            refuses one could not say which. `None` asks for none.
    """

    def __init__(
        self,
        stream: Any,
        quote: bytes | None,
        header: bytes | None,
        skip: int,
        delimiter: bytes | None,
        misfit: Callable[[bytes], str | None] | None = None,
    ) -> None:
        super().__init__()
        self._stream = stream
        self._quote = quote
        self._header = header
        self._skip = skip
        self._delimiter = delimiter
        self._misfit = misfit
        self._ready = b""
        self._rest = b""
        self._line = 0
        self._lone: bool | None = None
        self._ended = False
        self._dropped: list[np.ndarray] = []
        self.refused: list[tuple[int, bytes, str]] = []
        self.error: Exception | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._ready and not self._ended:
            self._fill()
        if size < 0:
            while not self._ended:
                self._fill()
            size = len(self._ready)
        part, self._ready = self._ready[:size], self._ready[size:]
        return part

    def line_of(self, number: int) -> int:
        """The line in the file of the `number`-th line that was passed on, both from 1."""
        return shifted(number, np.concatenate([*self._dropped, np.zeros(0, np.int64)]))

    def _fill(self) -> None:
        try:
            block = self._stream.read(BLOCK)
        except Exception as error:
            self.error = error
            raise
        if self._lone is None:
            # Old programs for the Macintosh end lines with a carriage return alone.
            self._lone = b"\r" in block and b"\n" not in block
        if self._lone:
            block = block.replace(b"\r", b"\n")
        if not block:
            self._ended = True
            block, self._rest = self._rest, b""
            if block and not block.endswith(b"\n"):
                block += b"\n"
        else:
            block = self._rest + block
            end = block.rfind(b"\n") + 1
            block, self._rest = block[:end], block[end:]
        if block:
            self._ready += self._checked(block)

    def _checked(self, block: bytes) -> bytes:
        if self._line == 0:
            block = block.removeprefix(BOM)
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == 10)
        out: dict[int, str] = {}
        if self._line == 0:
            out.update(dict.fromkeys(range(min(self._skip, len(ends))), ""))
        if b"\n\n" in block or b"\n\r\n" in block or block[:1] in (b"\n", b"\r"):
            lengths = np.diff(ends, prepend=-1)
            blank = lengths == 1
            two = np.flatnonzero(lengths == 2)
            blank[two] = [block[ends[i] - 1] == 13 for i in two]
            out.update(dict.fromkeys(np.flatnonzero(blank).tolist(), ""))
        if self._header is not None and self._header in block:
            for index in self._equal_lines(block, ends):
                out.setdefault(index, "The header is repeated in the middle of the data.")
        if self._quote is not None and self._quote in block:
            marks = np.flatnonzero(np.frombuffer(block, np.uint8) == self._quote[0])
            counts = np.bincount(np.searchsorted(ends, marks), minlength=len(ends))
            for index in np.flatnonzero(counts % 2).tolist():
                out.setdefault(
                    index,
                    "A quote is opened on this line and not closed on it. If values contain line "
                    "breaks, set `multiline`; if quotes are ordinary characters, `quote: null`.",
                )
        if self._misfit is not None and not _is_text(block):
            starts = [0, *(ends[:-1] + 1).tolist()]
            for index, (start, end) in enumerate(zip(starts, ends.tolist(), strict=True)):
                line = block[start:end]
                if index not in out and not _is_text(line) and (reason := self._misfit(line)):
                    out[index] = reason
        if out:
            block = self._without(block, ends, out)
        self._line += len(ends)
        if self._delimiter is not None:
            block = block.replace(self._delimiter, STAND_IN.encode())
        return block

    def _equal_lines(self, block: bytes, ends: np.ndarray) -> list[int]:
        header, found, at = self._header or b"", [], 0
        while (at := block.find(header, at)) >= 0:
            behind = at + len(header)
            if (at == 0 or block[at - 1] == 10) and block[behind : behind + 1] in (b"\n", b"\r"):
                found.append(int(np.searchsorted(ends, at)))
            at = behind
        return found

    def _without(self, block: bytes, ends: np.ndarray, out: dict[int, str]) -> bytes:
        parts, start = [], 0
        for index in sorted(out):
            begin = 0 if index == 0 else int(ends[index - 1]) + 1
            parts.append(block[start:begin])
            start = int(ends[index]) + 1
            if out[index]:
                self.refused.append((self._line + index + 1, block[begin : start - 1], out[index]))
        parts.append(block[start:])
        self._dropped.append(np.array(sorted(out), np.int64) + self._line + 1)
        return b"".join(parts)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def shifted(number: int, gaps: np.ndarray) -> int:
    """The `number`-th of the numbers 1, 2, … that are not among `gaps`, which ascend."""
    return number + int(np.searchsorted(gaps - np.arange(len(gaps)), number, side="right"))
