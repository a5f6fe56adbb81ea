"""An export of every signature, and servers that serve it."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import time
import uuid

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
)

from rankup_keras.serving import DevelopmentServer, ServerConfig, export
from tests.serving import stand_in
from tests.serving.strict_server import StrictServer

BINARY = "tensorflow_model_server"
ADDRESS = "TF_SERVING_ADDRESS"
_SERVED_AT_ADDRESS: dict[str, ServerConfig] = {}


@dataclasses.dataclass(frozen=True)
class Served:
    """A running server: where it is, the model's name and base path, and what it can do."""

    address: str
    rest: str | None
    name: str
    base: pathlib.Path
    real: bool


@pytest.fixture(scope="session")
def model():
    return stand_in.make_model()


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """A version directory of the stand-in model with every signature, made once."""
    return export(
        model,
        tmp_path_factory.mktemp("exports") / "ranker",
        warmup=stand_in.make_rows(100),
        batch_sizes=(1, 7, 32),
        metrics={"val_click_auc": 0.8},
        effective_rank={"block_1_mixer": 0.5},
    )


KINDS = ["development", pytest.param("real", marks=pytest.mark.server)]


@pytest.fixture(scope="session")
def development(exported):
    """The export on the development server."""
    with any_server("development", exported.parent, None) as server:
        yield server


@pytest.fixture(scope="session", params=KINDS)
def served(request, exported, tmp_path_factory):
    """The export behind gRPC: on the development server, and on a real one where there is one."""
    if request.param == "development":
        yield request.getfixturevalue("development")
        return
    with any_server(request.param, exported.parent, tmp_path_factory.mktemp("config")) as server:
        yield server


@pytest.fixture
def strict(development):
    """A server as strict as the real one, in front of the development server; not started."""
    front = StrictServer(development.address)
    yield front
    front.stop()


@contextlib.contextmanager
def any_server(kind, base, config_directory):
    """A server of that kind; the test is skipped, and says so, where there is no real one."""
    if kind == "development":
        with DevelopmentServer(base, port=0, poll_seconds=0.05) as server:
            yield Served(server.address, None, server.name, base, real=False)
    elif ADDRESS in os.environ:
        yield serve_at(os.environ[ADDRESS], base)
    elif shutil.which(BINARY):
        with real_server(base, config_directory) as server:
            yield server
    else:
        pytest.skip(f"no {ADDRESS} and no {BINARY} on PATH")


@contextlib.contextmanager
def real_server(base, config_directory, ports=None, **settings):
    """A `tensorflow_model_server` with the generated configuration, ended by its process id."""
    ports = ports or (free_port(), free_port())
    config = ServerConfig(base, grpc_port=ports[0], rest_port=ports[1], **settings)
    config.write(config_directory)
    with open(config_directory / "log", "wb") as log:
        process = subprocess.Popen(
            [shutil.which(BINARY), *config.arguments(config_directory)], stdout=log, stderr=log
        )
    try:
        wait_for(f"127.0.0.1:{ports[0]}", base.name)
        yield Served(f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", base.name, base, real=True)
    finally:
        process.terminate()
        process.wait(timeout=30)


def serve_at(address, base):
    """Has the server at `host:grpc_port:rest_port` serve `base`, which it must be able to read."""
    host, grpc_port, rest_port = address.split(":")
    # The server may have models of its own; a name cannot move to another path.
    name = f"{base.name}_{uuid.uuid4().hex[:8]}"
    # A reload replaces the whole list, so what earlier tests are served stays on it.
    _SERVED_AT_ADDRESS[name] = ServerConfig(base, name=name)
    request = model_management_pb2.ReloadConfigRequest()
    for config in _SERVED_AT_ADDRESS.values():
        text_format.Merge(config.files(base)["models.config"], request.config)
    with grpc.insecure_channel(f"{host}:{grpc_port}") as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        answer = stub.HandleReloadConfigRequest(request, timeout=60)
    assert answer.status.error_code == 0, answer.status.error_message
    wait_for(f"{host}:{grpc_port}", name)
    return Served(f"{host}:{grpc_port}", f"{host}:{rest_port}", name, base, real=True)


def wait_for(address, name, seconds=60):
    """Waits until a version of the model is available."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    end = time.monotonic() + seconds
    with grpc.insecure_channel(address) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        while time.monotonic() < end:
            with contextlib.suppress(grpc.RpcError):
                states = stub.GetModelStatus(request, timeout=5).model_version_status
                if any(
                    s.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE for s in states
                ):
                    return
            time.sleep(0.1)
    raise TimeoutError(f"{address} did not serve {name!r} within {seconds} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
