"""Vectors by id, from the files of another model."""

import pathlib
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features.columns import as_mapping, is_missing

MAPPED_FROM_BYTES = 1 << 30


class PretrainedVectors:
    """Reads pretrained vectors by id, for `rankup_keras.Pretrained` features.

    The vectors of a large file stay in it (memory-mapped), and only the rows of a
    batch are read. An id without a vector gets zeros, which a model reads as
    "missing".

    Args:
        feature: name of the `Pretrained` feature that the vectors are for: the
            column that `join` writes, and the name in errors.
        ids: (n,) integers or strings, all different.
        vectors: (n, dim) floats; may be a `numpy.memmap`.
        dim: the width that the feature expects. Defaults to that of the file.
        source: where they come from, for errors.

    Raises:
        ValueError: repeated ids, a wrong width, or lengths that differ.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    np.savez("users.npz", ids=[7, 3], vectors=np.ones((2, 64), np.float32))
    vectors = rk.layers.PretrainedVectors.read("users.npz", feature="user_vector", dim=64)
    rows = vectors.join({"user_id": np.array([3, 5])}, by="user_id")
    assert rows["user_vector"].shape == (2, 64)
    assert vectors.coverage([3, 5]) == 0.5
    ```
    """

    def __init__(
        self,
        feature: str,
        ids: np.ndarray,
        vectors: np.ndarray,
        dim: int | None = None,
        source: str = "the arrays given",
    ) -> None:
        self.feature = feature
        self._source = source
        ids, known = _with_bytes(ids)
        if not known.all():
            self._fail(f"{(~known).sum()} ids are missing, the first in row {np.argmin(known)}")
        if ids.dtype.kind not in "iuS" or ids.ndim != 1:
            self._fail(f"ids must be one column of integers or strings, not {ids.dtype}{ids.shape}")
        if vectors.ndim != 2 or vectors.dtype.kind != "f":
            self._fail(f"vectors must be floats (n, dim), not {vectors.dtype}{vectors.shape}")
        if len(ids) != len(vectors):
            self._fail(f"there are {len(ids)} ids and {len(vectors)} vectors")
        if dim is not None and vectors.shape[1] != dim:
            self._fail(f"vectors must have the width {dim}, and have {vectors.shape[1]}")
        self._order = np.argsort(ids, kind="stable")
        self._ids = ids[self._order]
        repeated = self._ids[1:][self._ids[1:] == self._ids[:-1]]
        if len(repeated):
            shown = [
                x.decode(errors="replace") if isinstance(x, bytes) else x.item()
                for x in np.unique(repeated)[:3]
            ]
            self._fail(f"{len(repeated)} ids come twice, such as {shown}")
        self._vectors = vectors

    def _fail(self, what: str) -> None:
        raise ValueError(
            f"Pretrained vectors of feature '{self.feature}': {what} ({self._source})."
        )

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return int(self._vectors.shape[1])

    def __len__(self) -> int:
        return len(self._ids)

    @classmethod
    def read(
        cls,
        path: str | pathlib.Path,
        feature: str,
        dim: int | None = None,
        ids: str = "ids",
        vectors: str = "vectors",
        memory_map: bool | None = None,
    ) -> "PretrainedVectors":
        """Reads an NPZ or a Parquet file.

        Args:
            path: `.npz` with two arrays, or `.parquet` with two columns.
            feature: name of the `Pretrained` feature.
            dim: the width that the feature expects. Defaults to that of the file.
            ids: name of the array or column of ids.
            vectors: name of the array or column of vectors (in Parquet, lists of
                floats, of fixed size or not).
            memory_map: whether the vectors stay on disk. An NPZ written by
                `numpy.savez` (not `savez_compressed`) is mapped where it is; of
                a Parquet file a copy without a name is written beside it, piece by
                piece, which goes with the vectors. Defaults to whether the file has
                1 GiB or more.

        Raises:
            ValueError: a missing or damaged file, one without the two names, or
                vectors of different widths.
        """
        path = pathlib.Path(path)
        start = f"Pretrained vectors of feature '{feature}'"
        if not path.exists():
            raise ValueError(f"{start}: no file {path}.")
        readers = {".npz": _read_npz, ".parquet": _read_parquet}
        if path.suffix not in readers:
            raise ValueError(f"{start} are read from .npz or .parquet. Received: {path}.")
        if memory_map is None:
            memory_map = path.stat().st_size >= MAPPED_FROM_BYTES
        try:
            read_ids, read_vectors = readers[path.suffix](path, ids, vectors, memory_map)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{start}: {error} ({path}).") from error
        return cls(feature, read_ids, read_vectors, dim, str(path))

    def lookup(self, ids: Any) -> np.ndarray:
        """Vectors of ids (n,) as float32 (n, dim), zeros for ids without one."""
        rows, found = self._rows_of(ids)
        out = np.zeros((len(rows), self.dim), np.float32)
        out[found] = self._vectors[rows[found]]
        return out

    def coverage(self, ids: Any) -> float:
        """The share of ids (n,) that have a vector."""
        _, found = self._rows_of(ids)
        return float(found.mean()) if len(found) else 0.0

    def _rows_of(self, ids: Any) -> tuple[np.ndarray, np.ndarray]:
        ids, known = _with_bytes(ids)
        strings = self._ids.dtype.kind == "S"
        if (ids.dtype.kind == "S") != strings:
            has = "strings" if strings else "integers"
            self._fail(f"the file has {has} for ids, and {ids.dtype} was looked up")
        if ids.ndim != 1:
            self._fail(f"ids to look up must be one column, not of shape {ids.shape}")
        if not len(self._ids):
            return np.zeros(len(ids), np.int64), np.zeros(len(ids), bool)
        # In one type: NumPy would search for uint64 among int64 in float64, which rounds both.
        with np.errstate(invalid="ignore"):
            wanted = ids.astype(self._ids.dtype)
        place = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        return self._order[place], (self._ids[place] == wanted) & (wanted == ids) & known

    def join(self, data: Any, by: str) -> Any:
        """Adds the column of the feature to raw columns, looked up by another column.

        Args:
            data: dict of arrays, a pandas frame, a pyarrow table, or a batched
                `tf.data.Dataset` of dicts or of tuples that start with one.
            by: name of the column of ids.

        Returns:
            The same, of rows in memory a dict of columns, with the further column `feature`,
            float32 (rows, dim).

        Raises:
            ValueError: there is no column `by`.
        """
        if not isinstance(data, tf.data.Dataset):
            data = as_mapping(data)
            return {**data, self.feature: self.lookup(self._column(data, by))}

        @tf.autograph.experimental.do_not_convert
        def add(columns: Mapping[str, Any], *rest: Any) -> Any:
            key = self._column(columns, by)
            vectors = tf.numpy_function(self.lookup, [key], tf.float32, stateful=False)
            vectors = tf.ensure_shape(vectors, (None, self.dim))
            joined = {**columns, self.feature: vectors}
            return (joined, *rest) if rest else joined

        return data.map(add, num_parallel_calls=tf.data.AUTOTUNE)

    def _column(self, columns: Mapping[str, Any], by: str) -> Any:
        if by not in columns:
            self._fail(f"the rows have no column '{by}', only {sorted(columns)[:20]}")
        return columns[by]


def _with_bytes(ids: Any) -> tuple[np.ndarray, np.ndarray]:
    """Ids as an array, strings as bytes, and which of them are there."""
    masked = np.ma.getmaskarray(ids) if np.ma.isMaskedArray(ids) else False
    ids = np.asarray(ids)
    known = np.full(ids.shape, True) & ~np.asarray(masked)
    if ids.dtype.kind == "O":
        known &= np.array([not is_missing(x) for x in ids], bool)
        return np.array([x if isinstance(x, bytes) else str(x).encode() for x in ids], "S"), known
    return np.char.encode(ids, "utf-8") if ids.dtype.kind == "U" else ids, known


def _read_npz(
    path: pathlib.Path, ids: str, vectors: str, memory_map: bool
) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as arrays:
        missing = [name for name in (ids, vectors) if name not in arrays]
        if missing:
            raise KeyError(f"no array {missing}, only {sorted(arrays)}")
        read_ids = arrays[ids]
        if not memory_map:
            return read_ids, arrays[vectors]
    return read_ids, _mapped_member(path, f"{vectors}.npy")


def _mapped_member(path: pathlib.Path, member: str) -> np.ndarray:
    """An array inside an uncompressed NPZ, where it lies in the file."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("a compressed NPZ cannot be memory-mapped; write it by `numpy.savez`")
    with path.open("rb") as file:
        # The member's own header: 26 bytes on, the lengths of its name and of its extra field.
        file.seek(info.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", file.read(4))
        file.seek(name_length + extra_length, 1)
        first_version = np.lib.format.read_magic(file) == (1, 0)
        read = np.lib.format
        header = read.read_array_header_1_0 if first_version else read.read_array_header_2_0
        shape, fortran, dtype = header(file)
        order: Any = "F" if fortran else "C"
        return np.memmap(path, dtype, "r", file.tell(), shape, order)


def _read_parquet(
    path: pathlib.Path, ids: str, vectors: str, memory_map: bool
) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    missing = [name for name in (ids, vectors) if name not in file.schema_arrow.names]
    if missing:
        raise KeyError(f"no column {missing}, only {file.schema_arrow.names}")
    read_ids = file.read(columns=[ids]).column(0).to_numpy()
    pieces = _pieces(file, vectors)
    if memory_map:
        return read_ids, _on_disk(path.parent, pieces)
    out, at = np.zeros((0, 0), np.float32), 0
    for piece in pieces:
        if at == 0:
            out = np.empty((file.metadata.num_rows, piece.shape[1]), np.float32)
        out[at : at + len(piece)] = piece
        at += len(piece)
    return read_ids, out


def _pieces(file: Any, vectors: str) -> Iterator[np.ndarray]:
    """A column of lists as floats (n, width), some rows at a time."""
    at, width = 0, -1
    for batch in file.iter_batches(batch_size=1 << 16, columns=[vectors]):
        piece = _rectangle(batch.column(0), at)
        width = piece.shape[1] if width < 0 else width
        if piece.shape[1] != width:
            raise ValueError(
                f"vectors of the widths {width} and {piece.shape[1]} (from row {at} on)"
            )
        yield piece
        at += len(piece)


def _on_disk(folder: pathlib.Path, pieces: Iterable[np.ndarray]) -> np.ndarray:
    """Rows in a file that has no name, and is gone once nobody maps it."""
    rows, width = 0, 0
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for piece in pieces:
                file.write(np.ascontiguousarray(piece).data)
                rows, width = rows + len(piece), piece.shape[1]
            file.flush()
            return np.memmap(file, np.float32, "r", shape=(rows, width))
    except OSError as error:
        raise ValueError(
            f"a copy cannot be written to {folder}, {error.strerror}; with `memory_map=False` it "
            "is held in memory"
        ) from error


def _rectangle(column: Any, first: int) -> np.ndarray:
    """A column of lists as floats (n, width)."""
    import pyarrow.compute as pc

    rows = f"between the rows {first} and {first + len(column)}"
    if column.null_count:
        raise ValueError(f"an empty vector {rows}")
    widths = np.unique(pc.list_value_length(column).to_numpy(zero_copy_only=False))
    if len(widths) != 1:
        raise ValueError(f"vectors of the widths {widths[:4].tolist()} {rows}")
    values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return values.reshape(len(column), int(widths[0]))
