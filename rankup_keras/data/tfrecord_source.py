"""TFRecord files of `tf.train.Example`."""

from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from rankup_keras.data.data_error import DataError
from rankup_keras.data.source import Chunk, Unit

_KINDS: dict[str, tuple[tf.DType, pa.DataType]] = {
    "bytes_list": (tf.string, pa.binary()),
    "int64_list": (tf.int64, pa.int64()),
    "float_list": (tf.float32, pa.float32()),
}
LOOKED_AT = 1000


class TFRecordSource:
    """Reads examples; every feature of an example is a list, of one value mostly."""

    text = False

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[tf.DType, pa.DataType]] = {}
        self._many: set[str] = set()

    def schema(self, file: Path) -> pa.Schema:
        """By the first examples of this file and those before it.

        A feature without a value has no type, and may be without one in a whole file.
        """
        if file.stat().st_size == 0:
            raise DataError("The file is empty.", file)
        kinds: dict[str, tuple[tf.DType, pa.DataType]] = {}
        number = 0
        try:
            for record in _records(file).take(LOOKED_AT):
                number += 1
                example = tf.train.Example.FromString(record.numpy())
                for name, feature in example.features.feature.items():
                    kind = feature.WhichOneof("kind")
                    if kind is None:
                        continue
                    kinds.setdefault(name, _KINDS[kind])
                    if len(getattr(feature, kind).value) > 1:
                        self._many.add(name)
        except tf.errors.DataLossError as error:
            raise _damaged(file, number + 1) from error
        except Exception as error:
            if type(error).__name__ != "DecodeError":
                raise
            raise DataError("The record is not a tf.train.Example.", file, line=number) from error
        if not number:
            raise DataError("The file has no record.", file)
        for name, (_, kind) in kinds.items():
            known = self._kinds.setdefault(name, kinds[name])[1]
            if known != kind:
                raise DataError(
                    f"The feature is of type {kind} here and of type {known} in files before. It "
                    "must have the same type in all files.",
                    file,
                    column=name,
                )
        return pa.schema(
            [
                (name, pa.list_(kind) if name in self._many else kind)
                for name, (_, kind) in sorted(self._kinds.items())
            ]
        )

    def units(self, file: Path) -> list[Unit]:
        return [(file, None)]

    def read(
        self, unit: Unit, columns: Sequence[str], listed: Set[str], rows: int
    ) -> Iterator[Chunk]:
        file = unit[0]
        if any(name not in self._kinds for name in columns):
            self.schema(file)
        spec: dict[str, Any] = {
            name: tf.io.RaggedFeature(self._kinds[name][0], row_splits_dtype=tf.int64)
            for name in columns
        }
        first = 0
        iterator = iter(_records(file).batch(rows))
        while True:
            try:
                serialized = next(iterator, None)
            except tf.errors.DataLossError as error:
                raise _damaged(file, first + 1) from error
            if serialized is None:
                return
            parsed = self._parse(file, serialized, spec, first)
            arrays = [
                _array(parsed[name], self._kinds[name][1], name in listed) for name in columns
            ]
            yield Chunk(pa.RecordBatch.from_arrays(arrays, list(columns)), file, first)
            first += int(serialized.shape[0])

    def _parse(self, file: Path, serialized: Any, spec: dict[str, Any], first: int) -> Any:
        try:
            return tf.io.parse_example(serialized, spec)
        except tf.errors.InvalidArgumentError:
            pass
        for index in range(int(serialized.shape[0])):
            try:
                tf.io.parse_example(serialized[index : index + 1], spec)
            except tf.errors.InvalidArgumentError as error:
                raise DataError(
                    "The example cannot be read with the types of the file's first ones, "
                    f"{ {name: item.dtype.name for name, item in spec.items()} }: "
                    f"{str(error).splitlines()[0][:200]}",
                    file,
                    line=first + index + 1,
                ) from error
        raise DataError("The examples cannot be read.", file, line=first + 1)


def _records(file: Path) -> tf.data.Dataset:
    with file.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    return tf.data.TFRecordDataset(str(file), "GZIP" if zipped else "")


def _array(value: tf.RaggedTensor, kind: pa.DataType, listed: bool) -> pa.Array:
    values = pa.array(value.flat_values.numpy(), kind)
    splits = value.row_splits.numpy()
    lengths = np.diff(splits)
    if listed or lengths.max(initial=0) > 1:
        return pa.ListArray.from_arrays(pa.array(splits.astype(np.int32)), values)
    if lengths.min(initial=1) == 1:
        return values
    index = pa.array(splits[:-1], mask=lengths == 0)
    return values.take(index)


def _damaged(file: Path, line: int) -> DataError:
    return DataError("The record is damaged or cut short. Copy the file again.", file, line=line)
