"""Values to ids through a vocabulary file."""

import atexit
import codecs
import itertools
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.compat.raw_inputs import take_raw_inputs

_ASSET = "vocabulary.txt"
PIECE = 1 << 18  # values that are read at once
BLOCK = 1 << 20  # bytes
_scratch: list[Path] = []


def _scratch_file() -> Path:
    """A file of this process's own, since TensorFlow reads vocabularies from paths."""
    if not _scratch:
        _scratch.append(Path(tempfile.mkdtemp(prefix="rankup_keras_vocabulary_")))
        atexit.register(shutil.rmtree, _scratch[0], ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=_scratch[0])) / _ASSET


@serializable
class VocabularyLookup(keras.layers.Layer):
    """Maps strings or integers to consecutive ids through a vocabulary.

    Id 0 is the mask value (`""` or -1), ids `1..oov_buckets` are unknown
    values, and the vocabulary follows in its order.

    Keras's `StringLookup` does the same for small vocabularies. This layer
    keeps the vocabulary in a file that TensorFlow reads, because (Keras
    3.15.1) `StringLookup` splits its saved vocabulary at every Unicode line
    boundary, so that one value with a U+2028 or U+0085 in it shifts all ids
    after a reload, and because an adapted vocabulary would otherwise become a
    constant in the exported graph, which must stay under 2 GB.

    Args:
        dtype_in: `"string"` or `"int64"`. Type of the values.
        oov_buckets: int. Number of ids for unknown values; several are
            shared out by hash. Defaults to 1.
        feature: str. Name used in error messages.

    Example:

    ```python
    import tensorflow as tf

    import rankup_keras as rk

    lookup = rk.features.VocabularyLookup()
    lookup.set_vocabulary(["cat", "dog"])
    assert lookup(tf.constant(["dog", "bird", ""])).numpy().tolist() == [3, 1, 0]
    ```
    """

    def __init__(
        self,
        dtype_in: str = "string",
        oov_buckets: int = 1,
        feature: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.dtype_in = dtype_in
        self.oov_buckets = oov_buckets
        self.feature = feature
        self._path: Path | None = None
        self._table: tf.lookup.StaticHashTable | None = None
        take_raw_inputs(self)
        self.built = True

    def set_vocabulary(self, values: Iterable[str] | Iterable[int]) -> int:
        """Takes a vocabulary, already unique and in order. Returns its size."""
        path = _scratch_file()
        count = 0
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            for value in values:
                file.write(f"{value}\n")
                count += 1
        return self._load(path, count)

    def set_vocabulary_file(self, path: str | Path) -> int:
        """Takes a vocabulary from a text file, one value per line. Returns its size."""
        path = str(path)
        if not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path):
            raise ValueError(
                f"`vocabulary` of feature {self.feature!r} is not a file. Received: {path!r}."
            )
        own = _scratch_file()
        tf.io.gfile.copy(path, str(own))
        self._check_text(own)
        return self._load(own, None)

    def _check_text(self, path: Path) -> None:
        """Takes the mark off that some programs put before UTF-8; refuses other encodings."""
        what, decoder = None, codecs.getincrementaldecoder("utf-8")()
        with path.open("rb") as file:
            mark = file.read(len(codecs.BOM_UTF8))
            file.seek(0)
            try:
                for block in iter(lambda: file.read(BLOCK), b""):
                    decoder.decode(block)
                    what = what or ("no text" if b"\0" in block else None)
                    lone = b"\r" in block and b"\n" not in block
                    what = what or ("one of lone carriage returns" if lone else None)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                what = "no UTF-8"
        if mark[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            what = "UTF-16"
        if what is not None:
            raise ValueError(
                f"The vocabulary file of feature {self.feature!r} is {what}. Write it as UTF-8, "
                "with one value a line."
            )
        if mark == codecs.BOM_UTF8:
            path.write_bytes(path.read_bytes().removeprefix(mark))

    def _load(self, path: Path, count: int | None) -> int:
        dtype = tf.as_dtype(self.dtype_in)
        try:
            with tf.init_scope():
                table = tf.lookup.StaticHashTable(
                    tf.lookup.TextFileInitializer(
                        str(path),
                        key_dtype=dtype,
                        key_index=tf.lookup.TextFileIndex.WHOLE_LINE,
                        value_dtype=tf.int64,
                        value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
                        value_index_offset=1 + self.oov_buckets,
                    ),
                    default_value=-1,
                )
                size = int(table.size().numpy())
        except tf.errors.OpError as error:
            raise ValueError(
                f"The vocabulary of feature {self.feature!r} cannot be read: it must hold one "
                f"value of type {self.dtype_in} per line, without duplicates. TensorFlow says: "
                f"{str(error).splitlines()[0]}"
            ) from None
        if size == 0 or (count is not None and size != count):
            raise ValueError(
                f"The vocabulary of feature {self.feature!r} must hold each value once and at "
                f"least one. Received {count or 0} values, {size} of them different."
            )
        self._path, self._table = path, table
        return size

    @property
    def rows(self) -> int:
        """Number of ids, those for missing and unknown values included."""
        if self._table is None:
            raise RuntimeError(f"Feature {self.feature!r} has no vocabulary yet. Call `adapt`.")
        return 1 + self.oov_buckets + int(self._table.size().numpy())

    def vocabulary(self) -> list[str]:
        """The vocabulary's values in the order of their ids, as strings."""
        return [value for piece in self.pieces() for value in piece.to_pylist()]

    def values(self) -> pa.Array:
        """The same as one array of strings."""
        return pa.chunked_array([*self.pieces()], pa.string()).combine_chunks()

    def pieces(self) -> Iterator[pa.Array]:
        """The same as arrays of strings, `PIECE` values at a time."""
        for text in self.texts():
            readable = text.decode("utf-8", errors="replace")
            yield pc.split_pattern(pa.array([readable], pa.string()), "\n").values

    def texts(self) -> Iterator[bytes]:
        """The same as lines of UTF-8, `PIECE` at a time, no end after the last."""
        if self._path is None:
            return
        # As TensorFlow reads it: carriage returns are skipped, the last line may have no end.
        with self._path.open("rb") as file:
            while lines := list(itertools.islice(file, PIECE)):
                yield b"".join(lines).replace(b"\r", b"").removesuffix(b"\n")

    @property
    def is_empty(self) -> bool:
        """Whether there is no vocabulary yet."""
        return self._path is None

    def call(self, values: tf.Tensor) -> tf.Tensor:
        if self._table is None:
            raise RuntimeError(
                f"Feature {self.feature!r} has no vocabulary yet. Call `adapt` on its FeatureSet, "
                "or load the model from a `.keras` file, which holds the vocabularies."
            )
        found = self._table.lookup(values)
        if self.oov_buckets == 1:
            unknown = tf.ones_like(found)
        else:
            text = values if self.dtype_in == "string" else tf.strings.as_string(values)
            unknown = 1 + tf.strings.to_hash_bucket_fast(text, self.oov_buckets)
        ids = tf.where(found < 0, unknown, found)
        missing = tf.equal(values, "" if self.dtype_in == "string" else tf.cast(-1, values.dtype))
        return tf.where(missing, tf.zeros_like(ids), ids)

    def save_assets(self, dir_path: str) -> None:
        if self._path is not None:
            shutil.copyfile(self._path, Path(dir_path) / _ASSET)

    def load_assets(self, dir_path: str) -> None:
        source = Path(dir_path) / _ASSET
        if source.is_file():
            own = _scratch_file()
            shutil.copyfile(source, own)
            self._load(own, None)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("dtype", None)
        config.update(dtype_in=self.dtype_in, oov_buckets=self.oov_buckets, feature=self.feature)
        return config
