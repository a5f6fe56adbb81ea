"""Batches of pyarrow → tensors, at little cost per value.

Handed over column by column, every string would become a Python object first. So the text of a
batch travels as one string, which TensorFlow splits without Python's lock, and numbers as blocks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from rankup_keras.features.target import PADDING, Target

_FLOATS = {"float32": "floats", "float64": "doubles"}
_SEPARATORS = (
    "\x1f",
    "\x1e",
    "\x1d",
    "\x1f\x1e\x1f",
    "\x1d\x1e\x1f\x1d",
    "\x1c\x1f\x1d\x1c\x1e\x1c",
)


def key(target: Target) -> str:
    """Name of a target's column in the tables between reading and packing."""
    return f"{target.role}/{target.name}"


class Packer:
    """Packs tables of converted columns, and unpacks them within TensorFlow."""

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = list(targets)
        self._single = {kind: self._of(kind, "single") for kind in PADDING}
        self._listed = {kind: self._of(kind, "list") for kind in PADDING}
        self._vectors = [t for t in self.targets if t.shape == "vector"]
        self._lists = [t for kind in PADDING for t in self._listed[kind]]

    def _of(self, kind: str, shape: str) -> list[Target]:
        return [t for t in self.targets if t.kind == kind and t.shape == shape]

    @property
    def signature(self) -> dict[str, tf.TensorSpec]:
        """What `pack` gives, for `tf.data.Dataset.from_generator`."""
        spec = {"rows": tf.TensorSpec((), tf.int32)}
        if self._single["string"] or self._listed["string"]:
            spec["text"] = tf.TensorSpec((), tf.string)
            spec["separator"] = tf.TensorSpec((), tf.string)
        if self._single["int64"] or self._listed["int64"]:
            spec["ints"] = tf.TensorSpec((None,), tf.int64)
        if self._single["float32"]:
            spec["floats"] = tf.TensorSpec((len(self._single["float32"]), None), tf.float32)
        if self._listed["float32"]:
            spec["listed_floats"] = tf.TensorSpec((None,), tf.float32)
        if self._single["float64"]:
            spec["doubles"] = tf.TensorSpec((len(self._single["float64"]), None), tf.float64)
        if self._vectors:
            spec["vectors"] = tf.TensorSpec((None, self._width()), tf.float32)
        if self._lists:
            spec["lengths"] = tf.TensorSpec((len(self._lists), None), tf.int64)
        return spec

    def _width(self) -> int:
        return sum(target.dim for target in self._vectors)

    def pack(self, table: pa.Table) -> dict[str, Any]:
        """A table's columns as few arrays."""
        packed: dict[str, Any] = {"rows": np.int32(table.num_rows)}
        columns = {t: one_chunk(table.column(key(t))) for t in self.targets}
        flat = {t: columns[t].flatten() for t in self._lists}
        if self._single["string"] or self._listed["string"]:
            texts = [columns[t] for t in self._single["string"]]
            texts += [flat[t] for t in self._listed["string"]]
            packed["text"], packed["separator"] = joined(texts)
        if self._single["int64"] or self._listed["int64"]:
            ints = [columns[t] for t in self._single["int64"]]
            ints += [flat[t] for t in self._listed["int64"]]
            packed["ints"] = np.concatenate([a.to_numpy(zero_copy_only=False) for a in ints])
        for kind, name in _FLOATS.items():
            if self._single[kind]:
                floats = [columns[t].to_numpy(zero_copy_only=False) for t in self._single[kind]]
                packed[name] = np.stack(floats)
        if self._listed["float32"]:
            parts = [flat[t].to_numpy(zero_copy_only=False) for t in self._listed["float32"]]
            packed["listed_floats"] = np.concatenate(parts)
        if self._vectors:
            blocks = [
                columns[t].flatten().to_numpy(zero_copy_only=False).reshape(-1, t.dim)
                for t in self._vectors
            ]
            packed["vectors"] = np.concatenate(blocks, axis=1)
        if self._lists:
            lengths = [pc.list_value_length(columns[t]).to_numpy() for t in self._lists]
            packed["lengths"] = np.stack(lengths).astype(np.int64)
        return packed

    def unpack(self, packed: dict[str, tf.Tensor]) -> dict[Target, tf.Tensor]:
        """The tensors of all targets: (rows,), (rows, longest list) or (rows, dim)."""
        rows = packed["rows"]
        result: dict[Target, tf.Tensor] = {}
        widths = tf.unstack(packed["lengths"]) if self._lists else []
        lengths = dict(zip(self._lists, widths, strict=True))
        if "text" in packed:
            split = tf.raw_ops.StringSplitV2(input=[packed["text"]], sep=packed["separator"])
            self._deal(split.values, "string", rows, lengths, result, lead=1)
        if "ints" in packed:
            self._deal(packed["ints"], "int64", rows, lengths, result, lead=0)
        for kind, name in _FLOATS.items():
            if name in packed:
                result.update(zip(self._single[kind], tf.unstack(packed[name]), strict=True))
        if "listed_floats" in packed:
            self._deal(packed["listed_floats"], "float32", rows, lengths, result, lead=0)
        if "vectors" in packed:
            parts = tf.split(packed["vectors"], [t.dim for t in self._vectors], axis=1)
            result.update(zip(self._vectors, parts, strict=True))
        return result

    def _deal(
        self,
        values: tf.Tensor,
        kind: str,
        rows: tf.Tensor,
        lengths: dict[Target, tf.Tensor],
        result: dict[Target, tf.Tensor],
        lead: int,
    ) -> None:
        # Single numbers have a matrix of their own.
        singles = [] if kind == "float32" else self._single[kind]
        listed = self._listed[kind]
        sizes = [tf.constant(lead), *[rows] * len(singles)]
        sizes += [tf.cast(tf.reduce_sum(lengths[t]), tf.int32) for t in listed]
        # One op for all columns: every slice of strings would be a copy of them.
        _, *parts = tf.split(values, tf.stack(sizes), num=len(sizes))
        for target, part in zip(singles, parts[: len(singles)], strict=True):
            result[target] = tf.ensure_shape(part, (None,))
        for target, part in zip(listed, parts[len(singles) :], strict=True):
            ragged = tf.RaggedTensor.from_row_lengths(part, lengths[target], validate=False)
            dense = ragged.to_tensor(default_value=tf.constant(PADDING[kind], values.dtype))
            result[target] = tf.ensure_shape(dense, (None, None))


def one_chunk(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    array = column.combine_chunks()
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def joined(arrays: list[pa.Array]) -> tuple[bytes, bytes]:
    """The text of arrays as one string after an extra empty value, and the separator."""
    # Without a value in front a join of nothing and one of "" would be the same.
    values = pa.concat_arrays([pa.array([b""], pa.binary()), *arrays])
    whole = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    for separator in _SEPARATORS:
        mark = separator.encode()
        text = pc.binary_join(whole, mark)[0].as_py()
        if text.count(mark) == len(values) - 1:
            return text, mark
    raise ValueError(
        f"Values contain all of the control characters {_SEPARATORS}: no separator is left."
    )
