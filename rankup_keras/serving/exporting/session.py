"""Loads and runs a SavedModel through TensorFlow's C API, the way a C++ server does.

This file imports nothing but the standard library and NumPy, on purpose: a process can load it by
its path, without `rankup_keras`, Keras or TensorFlow's Python API, and so shows what an export is
worth on its own::

    python rankup_keras/serving/exporting/session.py saved_models/ranker/1 --rows rows.json
"""

import argparse
import ctypes
import dataclasses
import functools
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

STRING = 7
DTYPES: dict[int, Any] = {
    1: np.float32,
    2: np.float64,
    3: np.int32,
    4: np.uint8,
    5: np.int16,
    6: np.int8,
    STRING: np.object_,
    9: np.int64,
    10: np.bool_,
    17: np.uint16,
    19: np.float16,
    22: np.uint32,
    23: np.uint64,
}
_VIEW = 3
_TSTRING = np.dtype([("size", np.uint64), ("data", np.uint64), ("owner", np.uint64)])
# A serialized ConfigProto with device_count {"GPU": 0}: a check of an export must not take the
# memory of the accelerator that a training run beside it is using.
_NO_GPU = b"\x0a\x07\x0a\x03GPU\x10\x00"


class SessionError(RuntimeError):
    """An error that TensorFlow's runtime reported; `code` is the canonical status code."""

    def __init__(self, message: str, code: int = 2):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """One input or output of a signature.

    Attributes:
        tensor: the tensor's name in the graph, `"operation:index"`.
        dtype: TensorFlow's number of the dtype; `STRING` is 7.
        shape: the static shape, `None` for an unknown dimension, or `None` for an unknown rank.
    """

    tensor: str
    dtype: int
    shape: tuple[int | None, ...] | None

    @property
    def dtype_name(self) -> str:
        return "string" if self.dtype == STRING else np.dtype(DTYPES.get(self.dtype, np.void)).name

    def __str__(self) -> str:
        shape = "?" if self.shape is None else [d if d is not None else "None" for d in self.shape]
        return f"{self.dtype_name} {shape}".replace("'", "")


@dataclasses.dataclass(frozen=True)
class Signature:
    """A named way into the graph: its inputs, outputs and method, as the server reads them."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    method: str


class SavedModelSession:
    """Runs the signatures of one version directory in a C++ session.

    `tf.saved_model.load` restores the Python object graph, which hides faults that a server
    meets at its first request (variables that the object graph reaches and the graph does not).
    `TF_LoadSessionFromSavedModel` is what `tensorflow_model_server` itself is built on.

    Args:
        path: a version directory: the one that contains `saved_model.pb`.
        tags: the tags of the graph to load. Defaults to `("serve",)`.
        use_gpu: let the session see the GPUs. Defaults to `False`.

    Example:

    ```python
    session = rankup_keras.serving.load_session("saved_models/ranker/1")
    scores = session.run({"user_id": ["u1"], "item_id": ["i7"], "history": [["i3", "i9"]]})
    scores["click"]  # float32, (1,)
    ```

    Raises:
        FileNotFoundError: there is no `saved_model.pb` in `path`.
        SessionError: the runtime refuses the export, with the runtime's own words.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        tags: Sequence[str] = ("serve",),
        use_gpu: bool = False,
    ):
        self.path = Path(path)
        self._session = None
        if not (self.path / "saved_model.pb").is_file():
            raise FileNotFoundError(
                f"`path` must be a version directory that contains saved_model.pb. "
                f"Received: path={str(path)!r}"
            )
        self._lib = lib = library()
        options = lib.TF_NewSessionOptions()
        meta = lib.TF_NewBuffer()
        self._graph = lib.TF_NewGraph()
        names = (ctypes.c_char_p * len(tags))(*[tag.encode() for tag in tags])
        try:
            if not use_gpu:
                with _Status(lib, "session options") as status:
                    lib.TF_SetConfig(options, _NO_GPU, len(_NO_GPU), status)
            with _Status(lib, f"cannot load {self.path}") as status:
                self._session = lib.TF_LoadSessionFromSavedModel(
                    options, None, os.fsencode(path), names, len(tags), self._graph, meta, status
                )
            buffer = meta.contents
            self.signatures = parse_signatures(ctypes.string_at(buffer.data, buffer.length))
        finally:
            lib.TF_DeleteBuffer(meta)
            lib.TF_DeleteSessionOptions(options)

    def run(
        self,
        columns: Mapping[str, Any],
        signature: str = "serving_default",
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Feeds the named columns to a signature and returns its named outputs.

        Args:
            columns: input name to array; lists become arrays of the signature's dtype, arrays
                must have it already, as a server demands.
            signature: the signature's name. Defaults to `"serving_default"`.
            outputs: the outputs to compute. Defaults to all.

        Returns:
            A dict of NumPy arrays; strings are object arrays of `bytes`.
        """
        spec = self.signature(signature)
        wanted = list(spec.outputs) if outputs is None else list(outputs)
        _check_names(spec, signature, columns, wanted)
        values = {name: _as_array(name, columns[name], info) for name, info in spec.inputs.items()}
        lib = self._lib
        feeds = (_Output * len(values))(*[self._output(i.tensor) for i in spec.inputs.values()])
        fetches = (_Output * len(wanted))(*[self._output(spec.outputs[o].tensor) for o in wanted])
        # The strings that the tensors point at live in `keep` until the answer has been copied.
        keep: list[Any] = []
        tensors = (ctypes.c_void_p * len(values))()
        results = (ctypes.c_void_p * len(wanted))()
        try:
            for i, (name, value) in enumerate(values.items()):
                tensors[i] = _to_tensor(lib, value, spec.inputs[name].dtype, keep)
            with _Status(lib, f"signature {signature!r} failed") as status:
                ins = (feeds, tensors, len(values))
                outs = (fetches, results, len(wanted))
                lib.TF_SessionRun(self._session, None, *ins, *outs, None, 0, None, status)
            return {name: _to_array(lib, results[i]) for i, name in enumerate(wanted)}
        finally:
            for tensor in (*tensors, *results):
                if tensor:
                    lib.TF_DeleteTensor(tensor)

    def signature(self, name: str) -> Signature:
        """The signature of that name, or a `KeyError` that lists those there are."""
        if name not in self.signatures:
            raise KeyError(f"no signature {name!r}; the export has {sorted(self.signatures)}")
        return self.signatures[name]

    def close(self) -> None:
        """Frees the session, its variables and its graph. Idempotent."""
        if self._session is None:
            return
        session, self._session = self._session, None
        with _Status(self._lib, "closing") as status:
            self._lib.TF_CloseSession(session, status)
        with _Status(self._lib, "closing") as status:
            self._lib.TF_DeleteSession(session, status)
        self._lib.TF_DeleteGraph(self._graph)

    def _output(self, tensor: str) -> "_Output":
        name, _, index = tensor.partition(":")
        operation = self._lib.TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise SessionError(f"the signature names {tensor!r}, which the graph has not")
        return _Output(operation, int(index or 0))

    def __enter__(self) -> "SavedModelSession":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SavedModelSession({str(self.path)!r}, signatures={sorted(self.signatures)})"


def load_session(path: str | os.PathLike, use_gpu: bool = False) -> SavedModelSession:
    """Loads a version directory as a C++ server would; see `SavedModelSession`."""
    return SavedModelSession(path, use_gpu=use_gpu)


def parse_signatures(meta_graph: bytes) -> dict[str, Signature]:
    """Reads the signatures out of a serialized `MetaGraphDef`.

    The generated protobuf classes live inside TensorFlow's Python package; the five messages
    needed here are small enough to read from the wire format.
    """
    signatures = {}
    for field, entry in wire_fields(memoryview(meta_graph)):
        if field == 5:
            pair = dict(wire_fields(entry))
            inputs: dict[str, TensorInfo] = {}
            outputs: dict[str, TensorInfo] = {}
            method = ""
            for part, value in wire_fields(pair[2]):
                if part in (1, 2):
                    tensor = dict(wire_fields(value))
                    target = inputs if part == 1 else outputs
                    target[bytes(tensor[1]).decode()] = _tensor_info(tensor[2])
                elif part == 3:
                    method = bytes(value).decode()
            name = bytes(pair[1]).decode()
            signatures[name] = Signature(
                dict(sorted(inputs.items())), dict(sorted(outputs.items())), method
            )
    # The loader's own bookkeeping is no way in for requests.
    return {k: v for k, v in signatures.items() if not k.startswith("__saved_model")}


def _tensor_info(message: Any) -> TensorInfo:
    fields = dict(wire_fields(message))
    shape: tuple[int | None, ...] | None = ()
    for field, value in wire_fields(fields.get(3, b"")):
        if field == 2:
            size = dict(wire_fields(value)).get(1, 0)
            # Sizes are 64-bit two's complement; minus one says unknown.
            shape = (*(shape or ()), None if size >= 1 << 63 else size)
        elif field == 3 and value:
            return TensorInfo(bytes(fields[1]).decode(), fields.get(2, 0), None)
    return TensorInfo(bytes(fields.get(1, b"")).decode(), fields.get(2, 0), shape)


def wire_fields(data: Any) -> Iterator[tuple[int, Any]]:
    """Number and value of every field of a serialized message; nested messages stay bytes."""
    data, at = memoryview(data), 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        else:
            size = varint() if kind == 2 else {1: 8, 5: 4}[kind]
            yield key >> 3, data[at : at + size]
            at += size


def _check_names(
    spec: Signature, signature: str, columns: Mapping[str, Any], outputs: Sequence[str]
) -> None:
    missing = sorted(set(spec.inputs) - set(columns))
    extra = sorted(set(columns) - set(spec.inputs))
    if missing or extra:
        raise ValueError(
            f"signature {signature!r} takes the columns {sorted(spec.inputs)}. "
            f"Missing: {missing}. Not in the signature: {extra}."
        )
    unknown = sorted(set(outputs) - set(spec.outputs))
    if unknown:
        raise ValueError(
            f"signature {signature!r} gives the outputs {sorted(spec.outputs)}. Received: {unknown}"
        )


def _as_array(name: str, value: Any, info: TensorInfo) -> np.ndarray:
    if info.dtype not in DTYPES:
        raise TypeError(f"column {name!r} has dtype number {info.dtype}, which is not supported")
    wanted = DTYPES[info.dtype]
    array = np.asarray(value) if hasattr(value, "dtype") else np.asarray(value, dtype=wanted)
    if info.dtype == STRING:
        if array.dtype.kind not in "SUOT":
            raise TypeError(f"column {name!r} must be string. Received: dtype={array.dtype}")
    elif array.dtype != wanted:
        raise TypeError(f"column {name!r} must be {info.dtype_name}. Received: dtype={array.dtype}")
    shape = info.shape
    if shape is not None and (
        len(shape) != array.ndim
        or any(w is not None and w != g for w, g in zip(shape, array.shape, strict=True))
    ):
        raise ValueError(f"column {name!r} must be {info}. Received: shape={array.shape}")
    return array


def _to_tensor(lib: Any, array: np.ndarray, dtype: int, keep: list[Any]) -> int:
    if dtype == STRING:
        array = _string_views(array, keep)
    array = np.asarray(array, order="C")
    shape = array.shape
    dims = (ctypes.c_int64 * len(shape))(*shape)
    tensor = lib.TF_AllocateTensor(dtype, dims, len(shape), array.nbytes)
    ctypes.memmove(lib.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
    return tensor


def _string_views(array: np.ndarray, keep: list[Any]) -> np.ndarray:
    """Strings as TensorFlow's 24-byte string objects of the "view" kind, over one joined buffer."""
    values = [v.encode() if isinstance(v, str) else bytes(v) for v in array.ravel().tolist()]
    blob = b"".join(values)
    sizes = np.fromiter(map(len, values), np.uint64, len(values))
    views = np.zeros(len(values), _TSTRING)
    base = ctypes.cast(ctypes.c_char_p(blob), ctypes.c_void_p).value or 0
    views["size"] = sizes << np.uint64(2) | np.uint64(_VIEW)
    views["data"] = np.uint64(base) + np.cumsum(sizes, dtype=np.uint64) - sizes
    keep.append(blob)
    return views.reshape(array.shape)


def _to_array(lib: Any, tensor: Any) -> np.ndarray:
    shape = tuple(lib.TF_Dim(tensor, i) for i in range(lib.TF_NumDims(tensor)))
    dtype = lib.TF_TensorType(tensor)
    data = lib.TF_TensorData(tensor)
    if dtype != STRING:
        raw = ctypes.string_at(data, lib.TF_TensorByteSize(tensor)) if data else b""
        return np.frombuffer(raw, DTYPES[dtype]).reshape(shape).copy()
    values = np.empty(int(np.prod(shape)), object)
    for i in range(len(values)):
        item = data + i * _TSTRING.itemsize
        values[i] = ctypes.string_at(lib.TF_StringGetDataPointer(item), lib.TF_StringGetSize(item))
    return values.reshape(shape)


class _Buffer(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    ]


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class _Status:
    """A `TF_Status` that raises what it was set to."""

    def __init__(self, lib: Any, doing: str):
        self._lib, self._doing = lib, doing

    def __enter__(self) -> Any:
        self._status = self._lib.TF_NewStatus()
        return self._status

    def __exit__(self, kind: Any, *_: Any) -> None:
        code = self._lib.TF_GetCode(self._status)
        message = self._lib.TF_Message(self._status).decode(errors="replace")
        self._lib.TF_DeleteStatus(self._status)
        if code and kind is None:
            raise SessionError(f"{self._doing}: {message}", code)


@functools.cache
def library() -> ctypes.CDLL:
    """TensorFlow's C API from the installed wheel, loaded without importing TensorFlow.

    In a process that has imported TensorFlow it is the same shared object, already loaded.
    """
    spec = importlib.util.find_spec("tensorflow")
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        for name in ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib"):
            if (found := Path(place) / name).exists():
                return _declare(ctypes.CDLL(str(found)))
    raise SessionError(
        "TensorFlow's C library was not found: install the `tensorflow` wheel for Linux or macOS "
        f"(not `tensorflow-cpu` for Windows). Looked for libtensorflow_cc in {places or 'no place'}"
    )


def _declare(lib: ctypes.CDLL) -> ctypes.CDLL:
    p, s, i, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
    buffer = ctypes.POINTER(_Buffer)
    outputs, array = ctypes.POINTER(_Output), ctypes.POINTER(p)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "TF_NewStatus": (p, []),
        "TF_DeleteStatus": (None, [p]),
        "TF_GetCode": (i, [p]),
        "TF_Message": (s, [p]),
        "TF_NewBuffer": (buffer, []),
        "TF_DeleteBuffer": (None, [buffer]),
        "TF_NewGraph": (p, []),
        "TF_DeleteGraph": (None, [p]),
        "TF_NewSessionOptions": (p, []),
        "TF_DeleteSessionOptions": (None, [p]),
        "TF_SetConfig": (None, [p, s, size, p]),
        "TF_LoadSessionFromSavedModel": (p, [p, p, s, ctypes.POINTER(s), i, p, buffer, p]),
        "TF_CloseSession": (None, [p, p]),
        "TF_DeleteSession": (None, [p, p]),
        "TF_GraphOperationByName": (p, [p, s]),
        "TF_SessionRun": (None, [p, p, outputs, array, i, outputs, array, i, p, i, p, p]),
        "TF_AllocateTensor": (p, [i, ctypes.POINTER(ctypes.c_int64), i, size]),
        "TF_DeleteTensor": (None, [p]),
        "TF_TensorData": (p, [p]),
        "TF_TensorByteSize": (size, [p]),
        "TF_TensorType": (i, [p]),
        "TF_NumDims": (i, [p]),
        "TF_Dim": (ctypes.c_int64, [p, i]),
        "TF_StringGetDataPointer": (p, [p]),
        "TF_StringGetSize": (size, [p]),
        "TF_Version": (s, []),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    _check_string_layout(lib)
    return lib


def _check_string_layout(lib: Any) -> None:
    keep: list[Any] = []
    text = b"a string longer than the twenty-two bytes that lie inline"
    view = _string_views(np.array([text], object), keep)
    address = view.ctypes.data
    read = lib.TF_StringGetSize(address)
    if read != len(text) or ctypes.string_at(lib.TF_StringGetDataPointer(address), read) != text:
        raise SessionError(
            f"TensorFlow {lib.TF_Version().decode()} lays strings out in a way unknown here"
        )


def _main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Score rows with an exported SavedModel.")
    parser.add_argument("path", help="version directory, e.g. saved_models/ranker/1")
    parser.add_argument("--rows", help="JSON file: {column: [values]}; without it, the signatures")
    parser.add_argument("--signature", default="serving_default")
    options = parser.parse_args(arguments)
    with SavedModelSession(options.path) as session:
        if options.rows is None:
            for name, spec in session.signatures.items():
                print(name)
                for arrow, infos in (("<-", spec.inputs), ("->", spec.outputs)):
                    for column, info in infos.items():
                        print(f"  {arrow} {column}: {info}")
            return 0
        columns = json.loads(Path(options.rows).read_text())
        answer = session.run(columns, options.signature)
        json.dump({name: value.tolist() for name, value in answer.items()}, sys.stdout)
        print()
    return 0


if __name__ == "__main__":
    sys.exit(_main())
