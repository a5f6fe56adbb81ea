"""The YAML files of a deployment: docker compose and Kubernetes."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# Words that some version of YAML reads as another type.
_NO_STRINGS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


class Flag(NamedTuple):
    """A flag of the server, and why it is set."""

    text: str
    reason: str


def compose(
    name: str,
    image: str,
    flags: Sequence[Flag],
    ports: Sequence[int],
    folders: Sequence[str],
    memory_mib: int,
) -> str:
    """A docker compose file that publishes its ports on 127.0.0.1 alone."""
    service = {
        "image": image,
        "entrypoint": ["/usr/bin/tensorflow_model_server"],
        "command": list(flags),
        "ports": [f"127.0.0.1:{port}:{port}" for port in ports],
        # Paths inside are the paths outside, so that one models.config serves both.
        "volumes": [f"{folder}:{folder}:ro" for folder in folders],
        "mem_reservation": f"{memory_mib}m",
        "restart": "unless-stopped",
    }
    return to_yaml({"services": {name: service}})


def kubernetes(
    name: str,
    image: str,
    flags: Sequence[Flag],
    files: Mapping[str, str],
    config_path: str,
    models_path: str,
    ports: Sequence[int],
    cores: int,
    memory_mib: int,
    replicas: int,
) -> str:
    """A ConfigMap, a Deployment and a headless Service, as one file."""
    title = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "model"
    labels, grpc_port, rest_port = {"app": title}, *ports
    container = {
        "name": "server",
        "image": image,
        "command": ["/usr/bin/tensorflow_model_server"],
        "args": list(flags),
        "ports": [
            {"name": "grpc", "containerPort": grpc_port},
            {"name": "rest", "containerPort": rest_port},
        ],
        # The server answers this once a version is loaded and warmed up, and not before.
        "readinessProbe": {
            "httpGet": {"path": f"/v1/models/{name}/metadata", "port": "rest"},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
        },
        # Clients hear of a pod's end a moment after it begins.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "resources": {"requests": {"cpu": str(cores), "memory": f"{memory_mib}Mi"}},
        "volumeMounts": [
            {"name": "config", "mountPath": config_path, "readOnly": True},
            {"name": "models", "mountPath": models_path, "readOnly": True},
        ],
    }
    volumes = [
        {"name": "config", "configMap": {"name": title}},
        {"name": "models", "persistentVolumeClaim": {"claimName": f"{title}-models"}},
    ]
    deployment = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [container], "volumes": volumes},
        },
    }
    # Headless: gRPC keeps a connection for long, so clients spread over the pods themselves
    # (`Client("dns:///<name>:8500")`).
    service = {
        "clusterIP": "None",
        "selector": labels,
        "ports": [
            {"name": "grpc", "port": grpc_port, "targetPort": "grpc"},
            {"name": "rest", "port": rest_port, "targetPort": "rest"},
        ],
    }
    head = {"metadata": {"name": title, "labels": labels}}
    parts = (
        {"apiVersion": "v1", "kind": "ConfigMap", **head, "data": dict(files)},
        {"apiVersion": "apps/v1", "kind": "Deployment", **head, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", **head, "spec": service},
    )
    return "---\n".join(to_yaml(part) for part in parts)


def to_yaml(value: Mapping[str, Any]) -> str:
    """YAML of dicts, lists, numbers, strings and flags, whose reasons become comments."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            plain = re.fullmatch(r"[A-Za-z][\w.-]*", key) and key.lower() not in _NO_STRINGS
            name = key if plain else json.dumps(key)
            if isinstance(item, str) and "\n" in item:
                yield f"{name}: |"
                yield from (f"  {line}" for line in item.splitlines())
            elif isinstance(item, Mapping | list):
                yield f"{name}:"
                yield from (f"  {line}" for line in _lines(item))
            else:
                yield f"{name}: {json.dumps(item)}"
        return
    for item in value:
        if isinstance(item, Flag):
            yield f"# {item.reason}"
            item = item.text
        nested = list(_lines(item)) if isinstance(item, Mapping) else [json.dumps(item)]
        yield f"- {nested[0]}"
        yield from (f"  {line}" for line in nested[1:])
