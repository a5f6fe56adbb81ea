"""Bounds on what requests to the development server may claim, before anything is expanded."""

import contextlib
import ctypes
import math
import threading
from collections.abc import Iterator
from typing import Any

from rankup_keras.serving.client.serving_error import ServingError

# A message as it comes in. Rows bound what the model computes, whatever their columns take.
MAX_MESSAGE_BYTES = 32 * 2**20
MAX_ROWS, MAX_ROWS_IN_ALL = 100_000, 200_000
MAX_BYTES, MAX_BYTES_IN_ALL = 128 * 2**20, 512 * 2**20
# NumPy's and TensorFlow's own share of a string; numbers take a third of it.
_ELEMENT_BYTES = 24
_MAX_RANK = 8
_LARGE_ROWS = 10_000


class RequestLimits:
    """Admits requests while their rows and bytes, as they would be expanded, have room.

    A tensor may claim more elements than it holds, of which the last is repeated, so that a
    message of 50 bytes can ask for gigabytes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows = self._bytes = 0

    @contextlib.contextmanager
    def admit(self, request: Any) -> Iterator[None]:
        """Counts a request while it is worked on.

        Raises:
            ServingError: INVALID_ARGUMENT for a request that is too large, RESOURCE_EXHAUSTED
                where there is no room beside others.
        """
        rows, size = expanded_size(request)
        if rows > MAX_ROWS or size > MAX_BYTES:
            raise ServingError(
                f"the request claims {rows:,} rows and {size:,} bytes; the development server "
                f"takes {MAX_ROWS:,} rows and {MAX_BYTES:,} bytes at a time",
                "INVALID_ARGUMENT",
            )
        with self._lock:
            full = self._rows + rows > MAX_ROWS_IN_ALL or self._bytes + size > MAX_BYTES_IN_ALL
            if full:
                raise ServingError(
                    f"Server Threadpool Exhausted: {self._rows:,} rows and {self._bytes:,} bytes "
                    "are in work",
                    "RESOURCE_EXHAUSTED",
                )
            self._rows, self._bytes = self._rows + rows, self._bytes + size
        try:
            yield
        finally:
            with self._lock:
                self._rows, self._bytes = self._rows - rows, self._bytes - size
            if rows > _LARGE_ROWS or size > MAX_BYTES // 8:
                give_back_memory()


def expanded_size(request: Any) -> tuple[int, int]:
    """Rows and bytes that a request of any kind would take, read from its shapes alone."""
    if not hasattr(request, "inputs"):
        return _size_of_examples(request.input.example_list.examples)
    rows = size = 0
    for name, proto in request.inputs.items():
        dims = [dim.size for dim in proto.tensor_shape.dim]
        if proto.tensor_shape.unknown_rank or len(dims) > _MAX_RANK or min(dims, default=0) < 0:
            raise ServingError(f"column {name!r} has the shape {dims[:20]}", "INVALID_ARGUMENT")
        count = math.prod(dims)
        rows = max(rows, *dims[:1], 1 if not dims else 0)
        size += count * _ELEMENT_BYTES + proto.ByteSize()
        if proto.string_val:
            size += max(count - len(proto.string_val), 0) * len(proto.string_val[-1])
    return rows, size


def _size_of_examples(examples: Any) -> tuple[int, int]:
    # Lists are padded to the longest of all examples.
    rows, widths, size = len(examples), dict[str, int](), 0
    if rows > MAX_ROWS:
        return rows, size
    for example in examples:
        size += example.ByteSize()
        for name, feature in example.features.feature.items():
            kind = feature.WhichOneof("kind")
            width = len(getattr(feature, kind).value) if kind else 0
            widths[name] = max(widths.get(name, 0), width)
    return rows, size + rows * sum(widths.values()) * _ELEMENT_BYTES


def give_back_memory() -> None:
    """Has the C library return freed memory to the system, where it has a call for that."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
