"""Serves an export: on the real server where there is one, else on the development server.

```
python -m rankup_keras.serving.server.serve saved_models/ranker
```
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from rankup_keras.serving.server.development_server import DevelopmentServer
from rankup_keras.serving.server.server_config import ServerConfig

BINARY = "tensorflow_model_server"
# From SIGTERM to the end of the development server, whatever runs.
_SECONDS_TO_END = 2.5


def serve(
    path: str | os.PathLike,
    config_directory: str | os.PathLike | None = None,
    grpc_port: int = 8500,
    rest_port: int = 8501,
    batching: bool | None = None,
    image: str = "tensorflow/serving:latest",
    clients: int = 32,
    latency_ms: float = 20.0,
) -> int:
    """Serves the newest version under `path` until interrupted.

    `tensorflow_model_server` is run where it is on PATH, else its container where Docker has the
    image already, both with the generated configuration; else the development server. The
    container and the development server are reached from this machine alone; the real server
    listens on every interface and has no flag to change that, which is said when it starts.

    Args:
        path: the model's base path.
        config_directory: where to write the server's configuration. Defaults to
            `<path>/serving_config`, which the server ignores since it is not a version.
        grpc_port: gRPC port. Defaults to 8500.
        rest_port: REST port, which the development server does not have. Defaults to 8501.
        batching: see `ServerConfig`.
        image: the container's image.
        clients: calls at the same time; see `ServerConfig`. Defaults to 32.
        latency_ms: what a call should take; see `ServerConfig`. Defaults to 20.

    Returns:
        The exit status of the server.
    """
    place = Path(config_directory or Path(path) / "serving_config")
    binary = shutil.which(BINARY)
    if binary is None and not has_image(image):
        return _develop(path, grpc_port, image, 2 * clients)
    config = ServerConfig(
        path,
        batching=batching,
        clients=clients,
        latency_ms=latency_ms,
        grpc_port=grpc_port,
        rest_port=rest_port,
        image=image,
    )
    config.write(place)
    if binary is not None:
        print(
            f"{BINARY} listens on every interface, ports {grpc_port} (gRPC) and {rest_port} "
            "(REST); keep others out with a firewall.",
            flush=True,
        )
        return _run([binary, *config.arguments(place)])
    print(f"{image} on 127.0.0.1, ports {grpc_port} (gRPC) and {rest_port} (REST)", flush=True)
    return _run(["docker", "compose", "--file", str(place / "docker-compose.yml"), "up"])


def has_image(image: str) -> bool:
    """Whether Docker runs here and has the image; nothing is downloaded unasked."""
    command = ["docker", "image", "inspect", image]
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _develop(path: str | os.PathLike, port: int, image: str, threads: int) -> NoReturn:
    with (
        _ending_in_time(),
        contextlib.suppress(KeyboardInterrupt),
        DevelopmentServer(path, port=port, threads=threads) as server,
    ):
        print(
            f"Neither {BINARY} nor the image {image} is here: this is the development server, "
            f"not for production.\n{server.name} version {server.version} on {server.address} "
            "(gRPC only, this machine alone)",
            flush=True,
        )
        for version, reason in server.failed.items():
            print(f"version {version} does not load: {reason}", file=sys.stderr, flush=True)
        server.wait()
    _end()


def _end() -> NoReturn:
    """Ends the process: TensorFlow's own way out of Python may take ten seconds."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(0)


@contextlib.contextmanager
def _ending_in_time() -> Iterator[None]:
    """Has SIGTERM interrupt, and the process end soon after it or Ctrl-C, whatever runs.

    Python's own handlers wait until the main thread is done with what it does in C++, such as
    loading a version; what a signal writes into a pipe does not. A request that runs would keep
    the process from ending, too.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def wait() -> None:
        if os.read(reading, 1):
            time.sleep(_SECONDS_TO_END)
            _end()

    threading.Thread(target=wait, daemon=True).start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    before = signal.set_wakeup_fd(writing)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)


def _run(command: Sequence[str]) -> int:
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rankup_keras.serving.server.serve", description="Serve an exported model."
    )
    parser.add_argument("path", help="the model's base path, e.g. saved_models/ranker")
    parser.add_argument("--config-directory", help="where to write the server's configuration")
    parser.add_argument("--port", type=int, default=8500, help="gRPC port")
    parser.add_argument("--rest-port", type=int, default=8501)
    parser.add_argument("--image", default="tensorflow/serving:latest")
    parser.add_argument("--clients", type=int, default=32, help="calls at the same time")
    parser.add_argument("--latency-ms", type=float, default=20.0, help="what a call should take")
    options = parser.parse_args(arguments)
    place, ports = options.config_directory, (options.port, options.rest_port)
    traffic = {"clients": options.clients, "latency_ms": options.latency_ms}
    return serve(options.path, place, *ports, image=options.image, **traffic)


if __name__ == "__main__":
    sys.exit(main())
