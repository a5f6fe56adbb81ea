"""A small server that speaks TensorFlow Serving's gRPC API, for development and tests."""

import os
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from rankup_keras.serving.client import messages
from rankup_keras.serving.client.grpc_client import MAX_MESSAGE_BYTES, MESSAGE_LIMITS, ServingError
from rankup_keras.serving.client.messages import serving_api
from rankup_keras.serving.exporting import warmup
from rankup_keras.serving.exporting.session import SessionError, load_session
from rankup_keras.serving.exporting.version_directory import versions


class DevelopmentServer:
    """Serves the newest version under a base path, the way `tensorflow_model_server` does.

    For development only: it runs in one Python process, has neither batching nor REST nor metrics,
    and offers no security. The graph itself runs in the same C++ session that the real server
    uses, and a new version is warmed up and swapped in while the old one finishes its requests.

    Args:
        path: the model's base path.
        name: the name to serve it under. Defaults to the last part of `path`.
        port: gRPC port; 0 takes a free one, see `address`. Defaults to 8500.
        host: the interface to listen on. Defaults to `"127.0.0.1"`, which no other machine reaches.
        poll_seconds: how often to look for new versions. Defaults to 1.
        threads: requests that run at a time. Defaults to 8.

    Attributes:
        address: `host:port` of the server.
        version: the version that is served, or `None`.
        failed: version to reason, of versions that do not load.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=9)])
    rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")
    with rk.serving.DevelopmentServer("saved_models/ranker", port=0) as server:
        with rk.serving.Client(server.address, model="ranker", timeout=30) as client:
            scores = client.predict({"item": ["i1", "i2"]})["click"]
    assert scores.shape == (2,)
    ```

    Raises:
        ImportError: tensorflow-serving-api is not installed (extra `[serving]`).
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
        service = serving_api("apis.prediction_service_pb2_grpc")
        import grpc

        self.path = Path(path)
        self.name = name or self.path.resolve().name
        self.failed: dict[int, str] = {}
        self._current: _LoadedVersion | None = None
        self._stop = threading.Event()
        self._poll_seconds = poll_seconds
        options = [*MESSAGE_LIMITS, ("grpc.so_reuseport", 0)]
        self._server = grpc.server(ThreadPoolExecutor(threads), options=options)
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
        self._current = None

    def wait(self) -> None:
        """Answers until the process is interrupted."""
        self._server.wait_for_termination()

    @property
    def version(self) -> int | None:
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
                # The old version is freed when the last request that uses it has been answered.
                self._current = _LoadedVersion(self.path / str(version), version)
                return
            except Exception as error:
                self.failed[version] = str(error)

    def __enter__(self) -> "DevelopmentServer":
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def loaded(self, spec: Any) -> "_LoadedVersion":
        """The version that a request's `ModelSpec` asks for."""
        if spec.name != self.name:
            raise ServingError(f"Servable not found for request: Latest({spec.name})", "NOT_FOUND")
        current = self._current
        if current is None:
            raise ServingError(f"no version of {self.name} is loaded", "UNAVAILABLE")
        asked = spec.version.value if spec.HasField("version") else current.version
        if spec.version_label or asked != current.version:
            raise ServingError(
                f"Servable not found for request: Specific({self.name}, "
                f"{spec.version_label or asked}); the development server serves "
                f"version {current.version} alone",
                "NOT_FOUND",
            )
        return current

    def _watch(self) -> None:
        while not self._stop.wait(self._poll_seconds):
            try:
                self.refresh()
            except OSError:
                # The base path may be moved for a moment; the loaded version goes on serving.
                traceback.print_exc()


class _LoadedVersion:
    """One version in memory, warmed up."""

    def __init__(self, path: Path, version: int):
        self.version = version
        self.session = load_session(path)
        if (path / warmup.FILE).exists():
            for _, name, columns in warmup.read_warmup(path):
                self.session.run(columns, name)

    def run(
        self, columns: dict[str, np.ndarray], signature: str, outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        if signature not in self.session.signatures:
            raise ServingError(
                f'Serving signature key "{signature}" not found.', "FAILED_PRECONDITION"
            )
        try:
            return self.session.run(columns, signature, outputs or None)
        except (ValueError, TypeError) as error:
            raise ServingError(str(error), "INVALID_ARGUMENT") from None


def _servicer(server: DevelopmentServer, service: Any) -> Any:
    """The service's methods, on the class that the generated code demands."""

    def scoring(kind: str) -> Callable[[Any], Any]:
        def score(request: Any) -> Any:
            name = request.model_spec.signature_name or "serving_default"
            wanted = list(request.output_filter) if kind == "predict" else []
            repeated = sorted({key for key in wanted if wanted.count(key) > 1})
            if repeated:
                raise ServingError(f"duplicate output tensor alias: {repeated}", "INVALID_ARGUMENT")
            loaded = server.loaded(request.model_spec)
            results = loaded.run(_read_columns(request), name, wanted)
            response = messages.api_message(kind, "Response")
            _FILL[kind](response, results)
            messages.fill_model_spec(response.model_spec, server.name, name, loaded.version)
            return response

        return score

    def metadata(request: Any) -> Any:
        api = serving_api("apis.get_model_metadata_pb2")
        if list(request.metadata_field) != ["signature_def"]:
            raise ServingError(
                f"metadata_field must be ['signature_def']. Received: "
                f"{list(request.metadata_field)}",
                "INVALID_ARGUMENT",
            )
        loaded = server.loaded(request.model_spec)
        found = api.SignatureDefMap(signature_def=loaded.session.definitions)
        response = api.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(found)
        messages.fill_model_spec(response.model_spec, server.name, "", loaded.version)
        return response

    methods = {
        "Predict": scoring("predict"),
        "Classify": scoring("classify"),
        "Regress": scoring("regress"),
        "GetModelMetadata": metadata,
    }
    handlers = {name: staticmethod(_answering(method)) for name, method in methods.items()}
    return type("Servicer", (service.PredictionServiceServicer,), handlers)()


def _read_columns(request: Any) -> dict[str, np.ndarray]:
    """The request's columns, unless a tensor claims to be larger than any message may be."""
    for name, proto in getattr(request, "inputs", {}).items():
        sizes = [dim.size for dim in proto.tensor_shape.dim]
        if any(size < 0 for size in sizes) or np.prod(sizes, dtype=float) > MAX_MESSAGE_BYTES:
            raise ServingError(f"column {name!r} has the shape {sizes}", "INVALID_ARGUMENT")
    try:
        columns = messages.read_columns(request)
    except Exception as error:
        raise ServingError(f"a tensor cannot be read: {error}", "INVALID_ARGUMENT") from None
    if not hasattr(request, "inputs") and not len(columns[messages.EXAMPLES]):
        raise ServingError("Input is empty.", "INVALID_ARGUMENT")
    return columns


def _fill_tensors(response: Any, results: dict[str, np.ndarray]) -> None:
    for key, value in results.items():
        response.outputs[key].CopyFrom(messages.tensor_proto(value))


def _fill_classes(response: Any, results: dict[str, np.ndarray]) -> None:
    for labels, scores in zip(results["classes"], results["scores"], strict=True):
        row = response.result.classifications.add()
        for label, score in zip(labels, scores, strict=True):
            row.classes.add(label=label.decode(), score=float(score))


def _fill_values(response: Any, results: dict[str, np.ndarray]) -> None:
    for value in results["outputs"].reshape(-1):
        response.result.regressions.add(value=float(value))


_FILL = {"predict": _fill_tensors, "classify": _fill_classes, "regress": _fill_values}


def _answering(method: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A gRPC handler that turns errors into statuses and never takes the server down."""
    import grpc

    codes = {code.value[0]: code for code in grpc.StatusCode}

    def handle(request: Any, context: Any) -> Any:
        try:
            return method(request)
        except ServingError as error:
            code, message = grpc.StatusCode[error.code], str(error)
        except SessionError as error:
            code, message = codes.get(error.code, grpc.StatusCode.INTERNAL), str(error)
        except Exception as error:
            traceback.print_exc()
            code, message = grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}"
        # A status travels in a header, whose size is limited.
        context.abort(code, message[:4000])

    return handle
