"""Loads and runs a SavedModel in a TensorFlow session, the way a C++ server does."""

import contextlib
import copy
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

# Their kernels run Python code of the process that traced the graph, so only that process has them.
_PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


class SessionError(RuntimeError):
    """An error that TensorFlow's runtime reported; `code` is the canonical status code."""

    def __init__(self, message: str, code: int = tf.errors.UNKNOWN):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs, outputs and method name of an endpoint, as a server reads them."""

    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]
    method: str


class SavedModelSession:
    """Runs the signatures of one version directory in a C++ session.

    `tf.saved_model.load` restores the Python object graph, which hides faults that a server
    meets at its first request, such as variables that the object graph reaches and the graph's
    saver does not. A session sees only what `tensorflow_model_server` sees: the graph, its saver
    and its initializers.

    Args:
        path: a version directory: the one that contains `saved_model.pb`.
        tags: the tags of the graph to load. Defaults to `("serve",)`.
        use_gpu: let the session use GPUs. Defaults to `False`: checking an export must not take
            the memory of an accelerator that a training run is using.

    Attributes:
        signatures: name to `Signature`.
        definitions: name to `SignatureDef`, as in the file.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=9)])
    path = rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")
    with rk.serving.SavedModelSession(path) as session:
        assert list(session.signatures["serving_default"].inputs) == ["item"]
        scores = session.run({"item": ["i1"]})
    assert scores["click"].shape == (1,)
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
        if not (self.path / "saved_model.pb").is_file():
            raise FileNotFoundError(
                f"`path` must be a version directory that contains saved_model.pb. "
                f"Received: path={str(path)!r}"
            )
        config = tf.compat.v1.ConfigProto(device_count={} if use_gpu else {"GPU": 0})
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
        try:
            with _without_deprecation_notice():
                loaded = tf.compat.v1.saved_model.load(self._session, tags, str(path))
            _check_ops(loaded.graph_def)
            # Copies, since a part of a message keeps the whole of it in memory.
            self.definitions = copy.deepcopy(dict(loaded.signature_def))
            self.signatures: dict[str, Signature] = {}
            self._tensors: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
            for name, found in sorted(self.definitions.items()):
                # The loader's own bookkeeping is not an endpoint for requests.
                if not name.startswith("__saved_model"):
                    inputs, outputs = tensor_specs(found.inputs), tensor_specs(found.outputs)
                    self.signatures[name] = Signature(inputs, outputs, found.method_name)
                    self._tensors[name] = self._find(found.inputs), self._find(found.outputs)
        except Exception as error:
            self.close()
            code = getattr(error, "error_code", tf.errors.INVALID_ARGUMENT)
            raise SessionError(f"cannot load {self.path}: {_words(error)}", code) from error

    def run(
        self,
        columns: Mapping[str, Any],
        signature: str = "serving_default",
        outputs: Sequence[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """Feeds the named columns to a signature and returns its named outputs.

        Args:
            columns: input name to array, which must have the signature's dtype, as a server
                demands; lists are converted to it.
            signature: the signature's name. Defaults to `"serving_default"`.
            outputs: the outputs to compute. Defaults to all.

        Returns:
            A dict of NumPy arrays; strings are object arrays of `bytes`.
        """
        spec = self.signature(signature)
        wanted = list(spec.outputs) if outputs is None else list(outputs)
        check_names(columns, spec.inputs, signature)
        unknown = sorted(set(wanted) - set(spec.outputs))
        if unknown:
            raise ValueError(
                f"signature {signature!r} has the outputs {list(spec.outputs)}. Received: {unknown}"
            )
        inputs, available = self._tensors[signature]
        feeds = {
            inputs[name]: _as_array(name, columns[name], item) for name, item in spec.inputs.items()
        }
        try:
            values = self._session.run([available[name] for name in wanted], feeds)
            return dict(zip(wanted, values, strict=True))
        except tf.errors.OpError as error:
            message = f"signature {signature!r} failed: {_words(error)}"
            raise SessionError(message, error.error_code) from None

    def signature(self, name: str) -> Signature:
        """The signature of that name, or a `KeyError` that lists the available ones."""
        if name not in self.signatures:
            raise KeyError(f"no signature {name!r}; the export has {list(self.signatures)}")
        return self.signatures[name]

    def close(self) -> None:
        """Frees the session, its variables and its graph. Idempotent."""
        self._session.close()

    def _find(self, infos: Mapping[str, Any]) -> dict[str, Any]:
        """The tensors that a signature names; a session would cast what is fed to another dtype."""
        tensors = {}
        for name, info in infos.items():
            tensors[name] = self._session.graph.get_tensor_by_name(info.name)
            if tensors[name].dtype.base_dtype.as_datatype_enum != info.dtype:
                raise TypeError(
                    f"the signature has {info.name!r} as {tf.as_dtype(info.dtype).name}, "
                    f"the graph as {tensors[name].dtype.name}"
                )
        return tensors

    def __enter__(self) -> "SavedModelSession":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SavedModelSession({str(self.path)!r}, signatures={list(self.signatures)})"


def load_session(path: str | os.PathLike, use_gpu: bool = False) -> SavedModelSession:
    """Loads a version directory as a C++ server would; see `SavedModelSession`.

    Args:
        path: a version directory: the one that contains `saved_model.pb`.
        use_gpu: let the session use GPUs. Defaults to `False`.

    Returns:
        The session, to be closed or used in a `with` statement.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=9)])
    path = rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")
    with rk.serving.load_session(path) as session:
        print(session.run({"item": ["i1", "i2"]})["click"])  # float32, (2,)
    ```
    """
    return SavedModelSession(path, use_gpu=use_gpu)


def tensor_specs(infos: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    """The inputs or outputs of a `SignatureDef`, in alphabetical order."""
    return {
        name: tf.TensorSpec(info.tensor_shape, tf.as_dtype(info.dtype), name=name)
        for name, info in sorted(infos.items())
    }


def describe_tensor(spec: tf.TensorSpec) -> str:
    """Dtype and shape in words, such as `"string [None, None]"`."""
    shape = "?" if spec.shape.rank is None else str(spec.shape.as_list())
    return f"{spec.dtype.name} {shape}"


@contextlib.contextmanager
def _without_deprecation_notice() -> Iterator[None]:
    """The loader into a session logs that it belongs to TensorFlow 1, which is why it is used."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_ops(graph: Any) -> None:
    """Refuses a graph that runs only in the process which traced it."""
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    python = sorted({node.op for nodes in bodies for node in nodes} & _PYTHON_OPS)
    if python:
        raise ValueError(f"the graph calls back into Python, which no server can: {python}")


def _words(error: Exception) -> str:
    return getattr(error, "message", str(error)).removeprefix("Graph execution error:\n\n")


def check_names(columns: Mapping[str, Any], inputs: Mapping[str, Any], signature: str) -> None:
    """Refuses columns that are not exactly the inputs of a signature."""
    missing = sorted(set(inputs) - set(columns))
    unknown = sorted(set(columns) - set(inputs))
    if missing or unknown:
        raise ValueError(
            f"Signature {signature!r} takes the columns {sorted(inputs)}. "
            f"Missing: {missing}. Unknown: {unknown}."
        )


def _as_array(name: str, value: Any, spec: tf.TensorSpec) -> np.ndarray:
    wanted = spec.dtype.as_numpy_dtype
    array = np.asarray(value) if hasattr(value, "dtype") else np.asarray(value, dtype=wanted)
    same = array.dtype.kind in "SUOT" if spec.dtype == tf.string else array.dtype == wanted
    if not same:
        raise TypeError(f"column {name!r} must be {spec.dtype.name}. Received: dtype={array.dtype}")
    # Of the first dimension, which counts rows, the graph itself takes care.
    shape = spec.shape if not spec.shape.rank else tf.TensorShape([None, *spec.shape[1:]])
    if not shape.is_compatible_with(array.shape):
        raise ValueError(
            f"column {name!r} must be {describe_tensor(spec)}. Received: shape={array.shape}"
        )
    return array
