"""A small server that speaks TensorFlow Serving's gRPC API, for development and tests."""

import os
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from rankup_keras.serving import messages
from rankup_keras.serving.client import MAX_MESSAGE_BYTES
from rankup_keras.serving.exporting import warmup
from rankup_keras.serving.exporting.gate import read_saved_model
from rankup_keras.serving.exporting.session import SavedModelSession, SessionError, load_session
from rankup_keras.serving.exporting.version_directory import versions
from rankup_keras.serving.serving_api import serving_api


class RequestError(Exception):
    """A request that is refused, with the status that the real server gives."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class DevelopmentServer:
    """Serves the newest version under a base path, the way `tensorflow_model_server` does.

    For development: it runs in one Python process, has neither batching nor REST nor metrics,
    and lends no security. The graph itself runs in the same C++ session that the real server
    uses, and a new version is warmed up and swapped in while the old one finishes its requests.

    Args:
        path: the model's base path.
        name: the name to serve it under. Defaults to the last part of `path`.
        port: gRPC port; 0 takes a free one, see `address`. Defaults to 8500.
        host: defaults to `"127.0.0.1"`, which nobody else can reach.
        poll_seconds: how often to look for new versions. Defaults to 1.
        threads: requests that run at a time. Defaults to 8.

    Example:

    ```python
    with rankup_keras.serving.DevelopmentServer("saved_models/ranker", port=0) as server:
        rankup_keras.serving.Client(server.address, model="ranker").predict(rows)
    ```
    """

    def __init__(
        self,
        path: str | os.PathLike,
        name: str | None = None,
        port: int = 8500,
        host: str = "127.0.0.1",
        poll_seconds: float = 1.0,
        threads: int = 8,
    ):
        import grpc

        self.path = Path(path)
        self.name = name or self.path.resolve().name
        self.failed: dict[int, str] = {}
        self._current: _Loaded | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._poll_seconds = poll_seconds
        limits = [
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(ThreadPoolExecutor(threads), options=limits)
        service = serving_api("apis.prediction_service_pb2_grpc")
        service.add_PredictionServiceServicer_to_server(_servicer(self, service), self._server)
        self.port = self._server.add_insecure_port(f"{host}:{port}")
        self.address = f"{host}:{self.port}"
        self._watcher = threading.Thread(target=self._watch, name="versions", daemon=True)

    def start(self) -> "DevelopmentServer":
        """Loads the newest version and begins to answer."""
        self.refresh()
        self._server.start()
        self._watcher.start()
        return self

    def stop(self) -> None:
        """Stops answering and frees the model. Idempotent."""
        self._stop.set()
        self._server.stop(grace=1).wait()
        if self._watcher.is_alive():
            self._watcher.join()
        with self._lock:
            current, self._current = self._current, None
        if current is not None:
            current.release()

    def wait(self) -> None:
        """Answers until the process is interrupted."""
        self._server.wait_for_termination()

    @property
    def version(self) -> int | None:
        """The version that is served."""
        current = self._current
        return None if current is None else current.version

    def refresh(self) -> None:
        """Swaps to the newest version that loads; a broken one is noted in `failed`."""
        for version in reversed(versions(self.path)):
            if version == self.version:
                return
            if version in self.failed:
                continue
            try:
                loaded = _Loaded(self.path / str(version), version)
            except Exception as error:
                self.failed[version] = str(error)
                continue
            with self._lock:
                old, self._current = self._current, loaded
            if old is not None:
                old.release()
            return

    def __enter__(self) -> "DevelopmentServer":
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def borrow(self, spec: Any) -> "_Loaded":
        """The version that a request asks for, held until `release`."""
        if spec.name != self.name:
            raise RequestError("NOT_FOUND", f"Servable not found for request: Latest({spec.name})")
        with self._lock:
            current = self._current
            if current is None:
                raise RequestError("UNAVAILABLE", f"no version of {self.name} is loaded")
            asked = spec.version.value if spec.HasField("version") else current.version
            if spec.version_label or asked != current.version:
                raise RequestError(
                    "NOT_FOUND",
                    f"Servable not found for request: Specific({self.name}, "
                    f"{spec.version_label or asked}); the development server serves "
                    f"version {current.version} alone",
                )
            current.hold()
            return current

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            try:
                self.refresh()
            except OSError:
                # The base path may be moved for a moment; the version at hand goes on.
                traceback.print_exc()


class _Loaded:
    """One version in memory, freed when the server and the last request let go of it."""

    def __init__(self, path: Path, version: int):
        self.version = version
        self.session: SavedModelSession = load_session(path)
        self.definitions = read_saved_model(path).meta_graphs[0].signature_def
        self._holders, self._lock = 1, threading.Lock()
        if (path / warmup.FILE).exists():
            for _, name, columns in warmup.read_warmup(path):
                self.session.run(columns, name)

    def hold(self) -> None:
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self.session.close()

    def run(
        self, columns: dict[str, np.ndarray], signature: str, outputs: Any = None
    ) -> dict[str, np.ndarray]:
        if signature not in self.session.signatures:
            raise RequestError(
                "FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.'
            )
        try:
            return self.session.run(columns, signature, outputs or None)
        except (ValueError, TypeError) as error:
            raise RequestError("INVALID_ARGUMENT", str(error)) from None


def _servicer(server: DevelopmentServer, service: Any) -> Any:
    """The service's methods, on the class that the generated code demands."""

    def predict(request: Any) -> Any:
        answer = serving_api("apis.predict_pb2").PredictResponse()
        name = request.model_spec.signature_name or "serving_default"
        wanted = list(request.output_filter)
        twice = sorted({key for key in wanted if wanted.count(key) > 1})
        if twice:
            raise RequestError("INVALID_ARGUMENT", f"duplicate output tensor alias: {twice}")
        loaded = server.borrow(request.model_spec)
        try:
            columns = _safe_columns(request.inputs)
            results = loaded.run(columns, name, wanted)
        finally:
            loaded.release()
        for key, value in results.items():
            answer.outputs[key].CopyFrom(messages.tensor_proto(value))
        messages.fill_model_spec(answer.model_spec, server.name, name, loaded.version)
        return answer

    def classify(request: Any) -> Any:
        answer = serving_api("apis.classification_pb2").ClassificationResponse()
        results, loaded, name = on_examples(request)
        for labels, scores in zip(results["classes"], results["scores"], strict=True):
            row = answer.result.classifications.add()
            for label, score in zip(labels, scores, strict=True):
                row.classes.add(label=label.decode(), score=float(score))
        messages.fill_model_spec(answer.model_spec, server.name, name, loaded.version)
        return answer

    def regress(request: Any) -> Any:
        answer = serving_api("apis.regression_pb2").RegressionResponse()
        results, loaded, name = on_examples(request)
        for value in results["outputs"].reshape(-1):
            answer.result.regressions.add(value=float(value))
        messages.fill_model_spec(answer.model_spec, server.name, name, loaded.version)
        return answer

    def on_examples(request: Any) -> Any:
        name = request.model_spec.signature_name or "serving_default"
        loaded = server.borrow(request.model_spec)
        try:
            examples = [e.SerializeToString() for e in request.input.example_list.examples]
            if not examples:
                raise RequestError("INVALID_ARGUMENT", "Input is empty.")
            return loaded.run(messages.example_column(examples), name), loaded, name
        finally:
            loaded.release()

    def metadata(request: Any) -> Any:
        api = serving_api("apis.get_model_metadata_pb2")
        if list(request.metadata_field) != ["signature_def"]:
            raise RequestError(
                "INVALID_ARGUMENT",
                f"metadata_field must be ['signature_def']. Received: "
                f"{list(request.metadata_field)}",
            )
        loaded = server.borrow(request.model_spec)
        try:
            found = api.SignatureDefMap()
            for key, definition in loaded.definitions.items():
                found.signature_def[key].CopyFrom(definition)
        finally:
            loaded.release()
        answer = api.GetModelMetadataResponse()
        answer.metadata["signature_def"].Pack(found)
        messages.fill_model_spec(answer.model_spec, server.name, "", loaded.version)
        return answer

    methods = {
        "Predict": predict,
        "Classify": classify,
        "Regress": regress,
        "GetModelMetadata": metadata,
    }
    handlers = {name: staticmethod(_answering(method)) for name, method in methods.items()}
    return type("Servicer", (service.PredictionServiceServicer,), handlers)()


def _answering(method: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A gRPC handler that turns errors into statuses and never takes the server down."""
    import grpc

    codes = {code.value[0]: code for code in grpc.StatusCode}

    def handle(request: Any, context: Any) -> Any:
        try:
            return method(request)
        except RequestError as error:
            code, message = grpc.StatusCode[error.code], str(error)
        except SessionError as error:
            code, message = codes.get(error.code, grpc.StatusCode.INTERNAL), str(error)
        except Exception as error:
            traceback.print_exc()
            code, message = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
        # A status travels in a header, whose size is limited.
        context.abort(code, message[:4000])

    return handle


def _safe_columns(inputs: Any) -> dict[str, np.ndarray]:
    """The request's tensors, unless one claims to be larger than any message may be."""
    for name, proto in inputs.items():
        sizes = [dim.size for dim in proto.tensor_shape.dim]
        if any(size < 0 for size in sizes) or np.prod(sizes, dtype=float) > MAX_MESSAGE_BYTES:
            raise RequestError("INVALID_ARGUMENT", f"column {name!r} has the shape {sizes}")
    try:
        return messages.columns_of(inputs)
    except Exception as error:
        raise RequestError("INVALID_ARGUMENT", f"a tensor cannot be read: {error}") from None
