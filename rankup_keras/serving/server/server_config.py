"""The configuration of a `tensorflow_model_server`, generated from the exports it will serve."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from rankup_keras.serving.client.messages import serving_api
from rankup_keras.serving.exporting.model_card import read_card
from rankup_keras.serving.exporting.version_directory import version_path

_MONITORING = """prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""
_NOTE = (
    "# The server listens on every interface and has no flag to change that: let a firewall\n"
    "# or a container (docker-compose.yml publishes on 127.0.0.1 alone) keep others out."
)


class ServerConfig:
    """Configuration files for one model, consistent with each other and with its warm-up.

    A server that batches refuses what is larger than its largest batch, and loads no version
    whose warm-up it would refuse. So the batch sizes are those that the export was warmed up with,
    and batching is refused for an export that was not made for it.

    Args:
        path: the model's base path, which holds the versions.
        name: the name that it is served under. Defaults to the last part of `path`.
        labels: label to version, e.g. `{"stable": 3, "canary": 4}`: these versions are served
            side by side and clients choose by label. Defaults to none: the newest is served.
        batching: whether the server joins requests into batches. Defaults to what the export
            was made for.
        batch_timeout_micros: how long a batch waits to be filled. Defaults to 1000.
        num_batch_threads: batches that run at a time. Defaults to the number of cores here.
        max_enqueued_batches: beyond this many waiting batches requests get UNAVAILABLE.
            Defaults to 100.
        grpc_port: gRPC port. Defaults to 8500.
        rest_port: REST port. Defaults to 8501.
        image: the container's image. Defaults to `"tensorflow/serving:latest"`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=9)])
    rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")
    config = rk.serving.ServerConfig("saved_models/ranker")
    config.write("serving")  # models.config, monitoring.config, docker-compose.yml, serve.sh
    print(config.command_line("serving"))
    ```

    Raises:
        FileNotFoundError: there is no such version.
        ValueError: batching for an export that was not warmed up for it.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        name: str | None = None,
        labels: Mapping[str, int] | None = None,
        batching: bool | None = None,
        batch_timeout_micros: int = 1000,
        num_batch_threads: int | None = None,
        max_enqueued_batches: int = 100,
        grpc_port: int = 8500,
        rest_port: int = 8501,
        image: str = "tensorflow/serving:latest",
    ):
        self.path = Path(path).resolve()
        self.name = name or self.path.name
        self.labels = dict(labels or {})
        served: list[int | None] = [*sorted(set(self.labels.values()))] or [None]
        cards = [read_card(version_path(self.path, version)) for version in served]
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
        self.batch_timeout_micros = batch_timeout_micros
        self.num_batch_threads = num_batch_threads or os.cpu_count() or 1
        self.max_enqueued_batches = max_enqueued_batches
        self.grpc_port, self.rest_port = grpc_port, rest_port
        self.image = image

    def files(self, directory: str | os.PathLike) -> dict[str, str]:
        """Name and text of every file that `write` puts into `directory`."""
        files = {
            "models.config": self._models(),
            "monitoring.config": _MONITORING,
            "docker-compose.yml": self._compose(Path(directory).resolve()),
            "serve.sh": f"#!/bin/sh\n{_NOTE}\nexec {self.command_line(directory)}\n",
        }
        if self.batching:
            files["batching.config"] = self._batching()
        return files

    def write(self, directory: str | os.PathLike) -> Path:
        """Writes the files into `directory` and returns it."""
        place = Path(directory)
        place.mkdir(parents=True, exist_ok=True)
        for name, text in self.files(place).items():
            (place / name).write_text(text, encoding="utf-8")
        (place / "serve.sh").chmod(0o755)
        return place

    def arguments(self, directory: str | os.PathLike) -> list[str]:
        """The server's flags, for files in `directory`."""
        place = Path(directory).resolve()
        flags = [
            f"--port={self.grpc_port}",
            f"--rest_api_port={self.rest_port}",
            f"--model_config_file={place / 'models.config'}",
            f"--monitoring_config_file={place / 'monitoring.config'}",
            # A new version loads beside the one that serves, on threads of its own.
            "--num_load_threads=2",
            "--file_system_poll_wait_seconds=1",
        ]
        if self.labels:
            # Otherwise a label at start-up is refused: its version is not loaded yet.
            flags.append("--allow_version_labels_for_unavailable_models=true")
        if self.batching:
            flags += [
                "--enable_batching",
                f"--batching_parameters_file={place / 'batching.config'}",
            ]
        return flags

    def command_line(self, directory: str | os.PathLike) -> str:
        """The command, to be run where the server is installed."""
        return shlex.join(["tensorflow_model_server", *self.arguments(directory)])

    def _models(self) -> str:
        message = serving_api("config.model_server_config_pb2").ModelServerConfig()
        model = message.model_config_list.config.add()
        model.name, model.base_path = self.name, str(self.path)
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
            "max_batch_size": self.batch_sizes[-1],
            "batch_timeout_micros": self.batch_timeout_micros,
            "num_batch_threads": self.num_batch_threads,
            "max_enqueued_batches": self.max_enqueued_batches,
        }
        lines = [f"{name} {{ value: {value} }}" for name, value in values.items()]
        lines += [f"allowed_batch_sizes: {size}" for size in self.batch_sizes]
        return "\n".join([*lines, "pad_variable_length_inputs: false", ""])

    def _compose(self, place: Path) -> str:
        # Paths inside are the paths outside, so that one models.config serves both. JSON strings
        # are YAML strings.
        service: dict[str, Any] = {
            "image": self.image,
            "entrypoint": ["/usr/bin/tensorflow_model_server"],
            "command": self.arguments(place),
            "ports": [f"127.0.0.1:{port}:{port}" for port in (self.grpc_port, self.rest_port)],
            "volumes": [f"{self.path}:{self.path}:ro", f"{place}:{place}:ro"],
            "restart": "unless-stopped",
        }
        lines = ["services:", f"  {json.dumps(self.name)}:"]
        for key, value in service.items():
            if isinstance(value, list):
                lines.append(f"    {key}:")
                lines += [f"      - {json.dumps(item)}" for item in value]
            else:
                lines.append(f"    {key}: {json.dumps(value)}")
        return "\n".join(lines) + "\n"
