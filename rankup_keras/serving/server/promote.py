"""Moves the labels of a running server to other versions, without losing a request."""

import copy
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from rankup_keras.serving.client.channels import open_channel, token_metadata
from rankup_keras.serving.client.messages import serving_api
from rankup_keras.serving.client.serving_error import ServingError
from rankup_keras.serving.server.server_config import MODELS

_POLL_SECONDS = 0.1


def promote(
    directory: str | os.PathLike,
    labels: Mapping[str, int | None],
    address: str | Sequence[str] = "localhost:8500",
    model: str | None = None,
    timeout: float = 120.0,
    credentials: Any = None,
    token: str | None = None,
) -> dict[str, int]:
    """Gives labels to versions, and loads and unloads what that needs.

    A server refuses a label of a version that it has not loaded, and a request whose label points
    to a version that is gone fails. So this reloads in three steps: the new versions beside the
    old ones, and a wait until they are loaded and warmed up; the labels; the old versions out.
    Where a version does not load, the labels stay as they were. A rollback is the same call, with
    the earlier version.

    Args:
        directory: where `ServerConfig.write` put the server's files. Its `models.config` says
            what is served, and is rewritten at the end, so that a restart serves the same.
        labels: label to version; labels that are not named stay, and `None` takes one away.
        address: `host:port` of the server's gRPC, or a list of servers, which follow one after
            the other. Defaults to `"localhost:8500"`.
        model: the model's name, where `models.config` has several. Defaults to the one it has.
        timeout: seconds that a server may take. Defaults to 120.
        credentials: `grpc.ChannelCredentials` for TLS. Defaults to none.
        token: see `Client`. Defaults to none.

    Returns:
        The labels before, to roll back to.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=9)])
    for _ in range(2):  # versions 1 and 2
        rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")
    labels = {"stable": 1}
    rk.serving.ServerConfig("saved_models/ranker", labels=labels).write("serving")
    with rk.serving.DevelopmentServer("saved_models/ranker", port=0, labels=labels) as server:
        before = rk.serving.promote("serving", {"stable": 2}, server.address)
        with rk.serving.Client(server.address, "ranker", label="stable", timeout=30) as client:
            client.predict({"item": ["i1"]})  # by version 2
        rk.serving.promote("serving", before, server.address)
    ```

    Raises:
        FileNotFoundError: `directory` has no `models.config`.
        ServingError: a version does not load, or a server does not answer in time.
        ValueError: the model is not in `models.config`.
    """
    path = Path(directory) / MODELS
    config = serving_api("config.model_server_config_pb2").ModelServerConfig()
    text_format.Parse(path.read_text(encoding="utf-8"), config)
    entry = _entry(config, model, path)
    before = dict(entry.version_labels)
    after = {key: value for key, value in {**before, **labels}.items() if value is not None}
    addresses = [address] if isinstance(address, str) else list(address)
    for each in addresses:
        with open_channel(each, credentials) as channel:
            server = _Server(each, channel, entry.name, timeout, token_metadata(token))
            _promote_one(server, config, entry, before, after)
    part = path.with_name(f".{path.name}-{os.getpid()}")
    part.write_text(text_format.MessageToString(config), encoding="utf-8")
    os.replace(part, path)
    return before


def _promote_one(
    server: "_Server", config: Any, entry: Any, before: Mapping[str, int], after: Mapping[str, int]
) -> None:
    serving, wanted = server.available(), sorted(set(after.values()))
    original = copy.deepcopy(entry)
    _set(entry, sorted({*serving, *wanted}), before if set(before.values()) <= serving else {})
    server.reload(config)
    try:
        server.wait_for(wanted)
    except ServingError:
        entry.CopyFrom(original)
        server.reload(config)
        raise
    _set(entry, sorted({*serving, *wanted}), after)
    server.reload(config)
    _set(entry, wanted, after)
    server.reload(config)


def _set(entry: Any, versions: Sequence[int], labels: Mapping[str, int]) -> None:
    """Puts versions and labels into a model's configuration; no versions: the newest."""
    entry.ClearField("model_version_policy")
    entry.ClearField("version_labels")
    if versions:
        entry.model_version_policy.specific.versions.extend(versions)
    for label, version in labels.items():
        entry.version_labels[label] = version


def _entry(config: Any, model: str | None, path: Path) -> Any:
    entries = list(config.model_config_list.config)
    found = [entry for entry in entries if model in (None, entry.name)]
    if len(found) != 1:
        raise ValueError(
            f"`model` must be one of {[entry.name for entry in entries]}, which {path} has. "
            f"Received: {model!r}"
        )
    return found[0]


class _Server:
    """The model service of one server."""

    def __init__(self, address: str, channel: Any, model: str, timeout: float, metadata: Any):
        service = serving_api("apis.model_service_pb2_grpc")
        self._stub = service.ModelServiceStub(channel)
        self._address, self._model, self._metadata = address, model, metadata
        self._timeout, self._deadline = timeout, time.monotonic() + timeout

    def available(self) -> set[int]:
        """The versions that are served."""
        return {version for version, (state, _) in self._states().items() if state == "AVAILABLE"}

    def wait_for(self, wanted: Sequence[int]) -> None:
        """Waits until versions are served; raises where one of them has failed for good."""
        while True:
            states = self._states()
            for version in wanted:
                state, reason = states.get(version, ("START", ""))
                if state == "END" and reason:
                    raise self._error(f"version {version} does not load: {reason}", "ABORTED")
            if all(states.get(version, ("", ""))[0] == "AVAILABLE" for version in wanted):
                return
            if time.monotonic() > self._deadline:
                raise self._error(
                    f"not all of {list(wanted)} were loaded within {self._timeout:g} s: "
                    f"{ {version: state for version, (state, _) in states.items()} }",
                    "DEADLINE_EXCEEDED",
                )
            time.sleep(_POLL_SECONDS)

    def reload(self, config: Any) -> None:
        """Has the server follow a configuration."""
        request = serving_api("apis.model_management_pb2").ReloadConfigRequest(config=config)
        answer = self._call(self._stub.HandleReloadConfigRequest, request)
        if answer.status.error_code:
            raise self._error(answer.status.error_message, "FAILED_PRECONDITION")

    def _states(self) -> dict[int, tuple[str, str]]:
        api = serving_api("apis.get_model_status_pb2")
        request = api.GetModelStatusRequest()
        request.model_spec.name = self._model
        names = api.ModelVersionStatus.State
        return {
            item.version: (names.Name(item.state), item.status.error_message)
            for item in self._call(self._stub.GetModelStatus, request).model_version_status
        }

    def _call(self, method: Any, request: Any) -> Any:
        import grpc

        try:
            left = max(self._deadline - time.monotonic(), 1.0)
            return method(request, timeout=left, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._error(error.details(), error.code().name) from None

    def _error(self, words: str, code: str) -> ServingError:
        return ServingError(f"{self._address}, model {self._model!r}: {words}", code)
