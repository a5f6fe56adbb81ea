"""The configuration of a `tensorflow_model_server`, generated from the exports it will serve."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from google.protobuf import text_format

from rankup_keras.serving.client.messages import serving_api
from rankup_keras.serving.exporting.model_card import read_card
from rankup_keras.serving.exporting.version_directory import version_path
from rankup_keras.serving.server.deployment import Flag, compose, kubernetes

MODELS = "models.config"
_MONITORING = """prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""
_NOTE = (
    "# The server listens on every interface and has no flag to change that: let a firewall\n"
    "# or a container (docker-compose.yml publishes on 127.0.0.1 alone) keep others out."
)
# What a server takes besides its models: code, threads, requests.
_BASE_MEMORY = 512 * 2**20
# Where the files of a Kubernetes deployment lie inside its containers.
_POD_CONFIG, _POD_MODELS = "/etc/tensorflow_serving", "/models"


class ServerConfig:
    """Configuration files for one model, consistent with each other and with its warm-up.

    `clients`, `latency_ms` and `cores` are the traffic to be carried; threads, queues, batches
    and memory follow from them, and each flag has its reason in the generated files.

    A server that batches refuses what is larger than its largest batch, and loads no version
    whose warm-up it would refuse. So the batch sizes are those that the export was warmed up with,
    and batching is refused for an export that was not made for it.

    Args:
        path: the model's base path, which holds the versions.
        name: the name that it is served under. Defaults to the last part of `path`.
        labels: label to version, e.g. `{"stable": 3, "canary": 4}`: these versions are served
            side by side and clients choose by label; see `promote`. Defaults to none: the newest
            is served.
        batching: whether the server joins requests into batches. Defaults to what the export
            was made for.
        clients: calls that arrive at the same time, at most; a server refuses what it has no
            thread for. Defaults to 32.
        latency_ms: what a call should take, in milliseconds; a batch waits a tenth of it to be
            filled. Defaults to 20.
        cores: cores of the machine or container that serves. Defaults to this machine's.
        num_batch_threads: batches that run at a time. Defaults to `cores`.
        grpc_port: gRPC port. Defaults to 8500.
        rest_port: REST port. Defaults to 8501.
        image: the container's image. Defaults to `"tensorflow/serving:latest"`.
        replicas: pods in Kubernetes. Defaults to 2.

    Attributes:
        memory_bytes: what a server needs: every version that is served, and one more, which is
            in memory at the same time while it is swapped in.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=9)])
    rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")
    config = rk.serving.ServerConfig("saved_models/ranker", clients=64, latency_ms=20)
    config.write("serving")  # models.config, serve.sh, docker-compose.yml, kubernetes.yaml, ...
    print(config.command_line("serving"))
    ```

    Raises:
        FileNotFoundError: there is no such version.
        ValueError: batching for an export that was not warmed up for it, or traffic that is not
            positive.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        name: str | None = None,
        labels: Mapping[str, int] | None = None,
        batching: bool | None = None,
        clients: int = 32,
        latency_ms: float = 20.0,
        cores: int | None = None,
        num_batch_threads: int | None = None,
        grpc_port: int = 8500,
        rest_port: int = 8501,
        image: str = "tensorflow/serving:latest",
        replicas: int = 2,
    ):
        self.cores = os.cpu_count() or 1 if cores is None else cores
        for key, value in (
            ("clients", clients), ("latency_ms", latency_ms), ("cores", self.cores),
            ("replicas", replicas),
        ):  # fmt: skip
            if not value > 0:
                raise ValueError(f"`{key}` must be positive. Received: {key}={value!r}")
        self.path = Path(path).resolve()
        self.name = name or self.path.name
        self.labels = dict(labels or {})
        served: list[int | None] = [*sorted(set(self.labels.values()))] or [None]
        places = [version_path(self.path, version) for version in served]
        cards = [read_card(place) for place in places]
        self.batching = cards[0]["batching"] if batching is None else batching
        self.batch_sizes = cards[0]["batch_sizes"]
        for version, card in zip(served, cards, strict=True):
            if self.batching and not card["batching"]:
                raise ValueError(
                    f"`batching` needs a version exported with batching=True, since others may "
                    f"hold warm-up records that a batching server refuses. Received: version "
                    f"{version or 'newest'} of {self.path}, exported with batching=False"
                )
            if self.batching and card["batch_sizes"] != self.batch_sizes:
                raise ValueError(
                    f"`labels` must name versions with the same batch sizes, since a server has "
                    f"one list for all. Received: {self.batch_sizes} and {card['batch_sizes']}"
                )
        self.clients, self.latency_ms = clients, latency_ms
        self.num_batch_threads = num_batch_threads or self.cores
        self.grpc_port, self.rest_port = grpc_port, rest_port
        self.image, self.replicas = image, replicas
        self.memory_bytes = _BASE_MEMORY + (len(places) + 1) * max(map(_size_on_disk, places))

    def files(self, directory: str | os.PathLike) -> dict[str, str]:
        """Name and text of every file that `write` puts into `directory`."""
        place = Path(directory).resolve()
        ports, memory_mib = (self.grpc_port, self.rest_port), -(-self.memory_bytes // 2**20)
        folders = [str(self.path), str(place)]
        files = {
            MODELS: self._models(str(self.path)),
            "monitoring.config": _MONITORING,
            "docker-compose.yml": compose(
                self.name, self.image, self.flags(place), ports, folders, memory_mib
            ),
            "serve.sh": self._script(place),
        }
        own = {MODELS: self._models(f"{_POD_MODELS}/{self.name}"), "monitoring.config": _MONITORING}
        if self.batching:
            own["batching.config"] = files["batching.config"] = self._batching()
        files["kubernetes.yaml"] = kubernetes(
            self.name, self.image, self.flags(_POD_CONFIG), own, _POD_CONFIG, _POD_MODELS, ports,
            self.cores, memory_mib, self.replicas,
        )  # fmt: skip
        return files

    def write(self, directory: str | os.PathLike) -> Path:
        """Writes the files into `directory` and returns it."""
        place = Path(directory)
        place.mkdir(parents=True, exist_ok=True)
        for name, text in self.files(place).items():
            (place / name).write_text(text, encoding="utf-8")
        (place / "serve.sh").chmod(0o755)
        return place

    def flags(self, directory: str | os.PathLike) -> list[Flag]:
        """The server's flags, for files in `directory`, each with its reason."""
        place, clients = Path(directory), self.clients
        flags = [
            Flag(f"--port={self.grpc_port}", "gRPC"),
            Flag(f"--rest_api_port={self.rest_port}", "REST, and the metrics below"),
            Flag(f"--model_config_file={place / MODELS}", "what is served"),
            Flag(f"--monitoring_config_file={place / 'monitoring.config'}", "for Prometheus"),
            Flag(
                f"--grpc_max_threads={self.grpc_threads}",
                f"for {clients} calls at a time on {self.cores} cores; the server's default of 4 "
                "a core refuses further calls with RESOURCE_EXHAUSTED",
            ),
            Flag(f"--rest_api_num_threads={max(4 * self.cores, clients)}", "the same, for REST"),
            Flag("--num_load_threads=2", "a version loads beside a broken one, and off requests"),
            Flag("--num_unload_threads=1", "freeing a large table holds up nothing else"),
            Flag(
                "--max_num_load_retries=2",
                "exports appear whole, so what fails twice is broken; by default five more tries "
                "hold a load thread",
            ),
            Flag("--load_retry_interval_micros=1000000", "a second, and not a minute, between"),
            Flag("--file_system_poll_wait_seconds=1", "new versions are seen within a second"),
        ]
        if self.labels:
            reason = "labels at start-up, when no version is loaded yet"
            flags.append(Flag("--allow_version_labels_for_unavailable_models=true", reason))
        if self.batching:
            flags += [
                Flag("--enable_batching", "the exports were made for it"),
                Flag(f"--batching_parameters_file={place / 'batching.config'}", "sizes and waits"),
            ]
        return flags

    @property
    def grpc_threads(self) -> int:
        """Threads of gRPC: some wait for calls while others run them."""
        return max(4 * self.cores, 2 * self.clients)

    def arguments(self, directory: str | os.PathLike) -> list[str]:
        """The server's flags, for files in `directory`."""
        return [flag.text for flag in self.flags(Path(directory).resolve())]

    def command_line(self, directory: str | os.PathLike) -> str:
        """The command, to be run where the server is installed."""
        return shlex.join(["tensorflow_model_server", *self.arguments(directory)])

    def _script(self, place: Path) -> str:
        lines = ["#!/bin/sh", _NOTE]
        for flag in self.flags(place):
            lines += [f"# {flag.reason}", f'set -- "$@" {shlex.quote(flag.text)}']
        return "\n".join([*lines, 'exec tensorflow_model_server "$@"', ""])

    def _models(self, base_path: str) -> str:
        message = serving_api("config.model_server_config_pb2").ModelServerConfig()
        model = message.model_config_list.config.add()
        model.name, model.base_path = self.name, base_path
        model.model_platform = "tensorflow"
        if self.labels:
            model.model_version_policy.specific.versions.extend(sorted(set(self.labels.values())))
            for label, version in self.labels.items():
                model.version_labels[label] = version
        return text_format.MessageToString(message)

    def _batching(self) -> str:
        # The message is in no wheel, so this is its text. Lists are not padded by the server: it
        # would repeat the first value of the first list, and scores would change in silence.
        values = {
            "max_batch_size": (self.batch_sizes[-1], "as warmed up"),
            "batch_timeout_micros": (round(self.latency_ms * 100), "a tenth of the latency target"),
            "num_batch_threads": (self.num_batch_threads, "batches that run at a time"),
            # Every caller has one request; what is beyond that is a burst that grows.
            "max_enqueued_batches": (self.clients, "beyond it callers get UNAVAILABLE"),
        }
        lines = []
        for name, (value, reason) in values.items():
            lines += [f"# {reason}", f"{name} {{ value: {value} }}"]
        lines += [f"allowed_batch_sizes: {size}" for size in self.batch_sizes]
        return "\n".join([*lines, "pad_variable_length_inputs: false", ""])


def _size_on_disk(place: Path) -> int:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
