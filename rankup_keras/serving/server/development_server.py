"""A small server that speaks TensorFlow Serving's gRPC API, for development and tests."""

import ipaddress
import os
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rankup_keras.serving.client.channels import MAX_MESSAGE_BYTES as MAX_ANSWER_BYTES
from rankup_keras.serving.client.messages import serving_api
from rankup_keras.serving.server.request_limits import MAX_MESSAGE_BYTES
from rankup_keras.serving.server.served_versions import ServedVersions
from rankup_keras.serving.server.services import add_services


class DevelopmentServer:
    """Serves the newest version under a base path, the way `tensorflow_model_server` does.

    For development only: it runs in one Python process, and has neither batching nor REST nor
    metrics. The graph itself runs in the same C++ session that the real server uses, and a new
    version is warmed up and swapped in while the old one finishes its requests. It refuses what
    the real server refuses: calls beyond its threads, labels of versions that are not loaded.
    Requests are bounded to 100,000 rows and 128 MiB, as they would be expanded.

    Args:
        path: the model's base path.
        name: the name to serve it under. Defaults to the last part of `path`.
        port: gRPC port; 0 takes a free one, see `address`. Defaults to 8500.
        host: the interface to listen on. Defaults to `"127.0.0.1"`, which no other machine reaches;
            any other needs `credentials`.
        poll_seconds: how often to look for new versions. Defaults to 1.
        threads: calls at a time; further ones get RESOURCE_EXHAUSTED, which `Client` tries again.
            Defaults to 64.
        labels: label to version, as in `ServerConfig`. Defaults to none: the newest is served.
        credentials: `grpc.ServerCredentials` for TLS. Defaults to none.
        token: calls must carry `authorization: Bearer <token>`. Defaults to none.

    Attributes:
        address: `host:port` of the server.
        version: the newest version that is served, or `None`.
        failed: version to reason, of versions that do not load; each is tried again when its files
            change.

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
        ValueError: `host` is reached from other machines, without `credentials`.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        name: str | None = None,
        port: int = 8500,
        host: str = "127.0.0.1",
        poll_seconds: float = 1.0,
        threads: int = 64,
        labels: Mapping[str, int] | None = None,
        credentials: Any = None,
        token: str | None = None,
    ):
        serving_api("apis.prediction_service_pb2_grpc")
        import grpc

        if credentials is None and not _is_loopback(host):
            raise ValueError(
                f"`host` must be an address of this machine alone, such as '127.0.0.1', unless "
                f"`credentials` bring TLS: this server is for development. Received: {host=}"
            )
        self.path = Path(path)
        self.name = name or self.path.resolve().name
        self._versions = ServedVersions(self.path, self.name, labels)
        self._stop = threading.Event()
        self._poll_seconds = poll_seconds
        options = [
            ("grpc.so_reuseport", 0),
            ("grpc.max_send_message_length", MAX_ANSWER_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ]
        pool = ThreadPoolExecutor(threads, thread_name_prefix="serving")
        self._server = grpc.server(pool, options=options, maximum_concurrent_rpcs=threads)
        add_services(self._server, self._versions, token)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        else:
            self.port = self._server.add_secure_port(f"{host}:{port}", credentials)
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
        self._versions.changed.set()
        self._server.stop(grace=1).wait()
        if self._watcher.is_alive():
            # A version that is being loaded is not waited for.
            self._watcher.join(timeout=1)
        self._versions.close()

    def wait(self) -> None:
        """Answers until the process is interrupted."""
        self._server.wait_for_termination()

    @property
    def version(self) -> int | None:
        return self._versions.newest

    @property
    def failed(self) -> dict[int, str]:
        return self._versions.failed

    def refresh(self) -> None:
        """Loads the versions that are to be served; a broken one is noted in `failed`."""
        self._versions.refresh()

    def __enter__(self) -> "DevelopmentServer":
        return self.start()

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def _watch(self) -> None:
        while True:
            self._versions.changed.wait(self._poll_seconds)
            self._versions.changed.clear()
            if self._stop.is_set():
                return
            try:
                self.refresh()
            except OSError:
                # The base path may be moved for a moment; the loaded version goes on serving.
                traceback.print_exc()


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
