"""Vectors by id, from the files that another model left."""

import pathlib
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

MAPPED_FROM_BYTES = 1 << 30


class PretrainedVectors:
    """Reads pretrained vectors by id, for `rankup_keras.Pretrained` features.

    The vectors stay in the file where it is large (memory-mapped), and only
    the rows of a batch are read. An id without a vector gets zeros, which a
    model reads as "missing".

    Args:
        feature: name of the `Pretrained` feature that the vectors are for; it
            is the column that `join` writes, and errors name it.
        ids: (n,) integers or strings, all different.
        vectors: (n, dim) floats; may be a `numpy.memmap`.
        dim: the width that the feature expects. Defaults to that of the file.
        source: where they come from, for errors.

    Raises:
        ValueError: for repeated ids, a wrong width, or lengths that differ.

    Example:

    ```python
    vectors = rk.layers.PretrainedVectors.read("users.npz", feature="user_vector", dim=64)
    train = vectors.join(train, by="user_id")     # adds the column `user_vector`
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
        ids = np.asarray(ids)
        if ids.dtype.kind == "O":
            ids = ids.astype(str)
        if ids.dtype.kind == "U":
            ids = np.char.encode(ids, "utf-8")
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
            shown = [_shown(x) for x in np.unique(repeated)[:3]]
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
            dim: the width that the feature expects. Defaults to the file's.
            ids: name of the array or column of ids.
            vectors: name of the array or column of vectors (Parquet: lists of
                floats, of fixed size or not).
            memory_map: whether vectors stay on disk. An NPZ written by
                `numpy.savez` (not `savez_compressed`) is mapped where it is;
                of a Parquet file a copy `<path>.<vectors>.npy` is written
                once, a piece at a time. Defaults to from 1 GiB on.
        """
        path = pathlib.Path(path)
        if not path.exists():
            raise ValueError(f"Pretrained vectors of feature '{feature}': no file {path}.")
        readers = {".npz": _read_npz, ".parquet": _read_parquet}
        if path.suffix not in readers:
            raise ValueError(
                f"Pretrained vectors of feature '{feature}' are read from .npz or .parquet. "
                f"Received: {path}."
            )
        if memory_map is None:
            memory_map = path.stat().st_size >= MAPPED_FROM_BYTES
        try:
            read_ids, read_vectors = readers[path.suffix](path, ids, vectors, memory_map)
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"Pretrained vectors of feature '{feature}': {error} ({path})."
            ) from error
        return cls(feature, read_ids, read_vectors, dim, str(path))

    def lookup(self, ids: Any) -> np.ndarray:
        """Vectors of ids (n,) as float32 (n, dim), zeros where there is none."""
        rows, found = self._rows_of(ids)
        out = np.zeros((len(rows), self.dim), np.float32)
        out[found] = self._vectors[rows[found]]
        return out

    def coverage(self, ids: Any) -> float:
        """The share of ids that have a vector."""
        _, found = self._rows_of(ids)
        return float(found.mean()) if len(found) else 0.0

    def _rows_of(self, ids: Any) -> tuple[np.ndarray, np.ndarray]:
        ids = np.asarray(ids)
        if ids.dtype.kind == "O":
            ids = np.array([x if isinstance(x, bytes) else str(x).encode() for x in ids], "S")
        elif ids.dtype.kind == "U":
            ids = np.char.encode(ids, "utf-8")
        if (ids.dtype.kind == "S") != (self._ids.dtype.kind == "S"):
            kinds = {"S": "strings"}
            has = kinds.get(self._ids.dtype.kind, "integers")
            self._fail(f"the file has {has} for ids, and {ids.dtype} was looked up")
        if not len(self._ids):
            return np.zeros(len(ids), np.int64), np.zeros(len(ids), bool)
        place = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return self._order[place], self._ids[place] == ids

    def join(self, data: Any, by: str) -> Any:
        """Adds the feature's column to raw columns, looked up by another column.

        Args:
            data: dict of arrays, or a batched `tf.data.Dataset` of dicts or of
                tuples that start with one.
            by: the column of ids.
        """
        if isinstance(data, Mapping):
            return {**data, self.feature: self.lookup(self._column(data, by))}

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


def _shown(x: Any) -> Any:
    return x.decode(errors="replace") if isinstance(x, bytes) else x.item()


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
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
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
    total = file.metadata.num_rows
    read_ids = file.read(columns=[ids]).column(0).to_numpy()
    out: np.ndarray | None = None
    at = 0
    for batch in file.iter_batches(batch_size=1 << 16, columns=[vectors]):
        piece = _rectangle(batch.column(0), at)
        if out is None:
            shape = (total, piece.shape[1])
            out = (
                np.lib.format.open_memmap(f"{path}.{vectors}.npy", "w+", np.float32, shape)
                if memory_map
                else np.empty(shape, np.float32)
            )
        if piece.shape[1] != out.shape[1]:
            raise ValueError(
                f"vectors of the widths {out.shape[1]} and {piece.shape[1]} (from row {at} on)"
            )
        out[at : at + len(piece)] = piece
        at += len(piece)
    return read_ids, np.zeros((0, 0), np.float32) if out is None else out


def _rectangle(column: Any, first: int) -> np.ndarray:
    """A column of lists as floats (n, width)."""
    import pyarrow.compute as pc

    if column.null_count:
        raise ValueError(f"an empty vector between the rows {first} and {first + len(column)}")
    widths = np.unique(pc.list_value_length(column).to_numpy(zero_copy_only=False))
    if len(widths) != 1:
        raise ValueError(
            f"vectors of the widths {widths[:4].tolist()} between the rows {first} and "
            f"{first + len(column)}"
        )
    values = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return values.reshape(len(column), int(widths[0]))
