"""The versions of a model that the development server has in memory."""

import gc
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rankup_keras.serving.client.messages import serving_api
from rankup_keras.serving.client.serving_error import ServingError
from rankup_keras.serving.exporting import warmup
from rankup_keras.serving.exporting.session import load_session
from rankup_keras.serving.exporting.version_directory import versions
from rankup_keras.serving.server.request_limits import give_back_memory


class ServedVersions:
    """Loads, swaps, labels and drops versions by the rules of `tensorflow_model_server`.

    Args:
        path: the model's base path.
        name: the name that it is served under.
        labels: label to version; these versions are kept. Defaults to none: the newest is.

    Attributes:
        failed: version to reason, of versions that do not load. One is tried again when its
            files change, as when a slow copy of it is complete.
    """

    def __init__(self, path: Path, name: str, labels: Mapping[str, int] | None = None):
        self.path, self.name = path, name
        self.labels = dict(labels or {})
        self.failed: dict[int, str] = {}
        self._wanted = sorted(set(self.labels.values())) or None
        self._loaded: dict[int, LoadedVersion] = {}
        self._fingerprints: dict[int, object] = {}
        self._refreshing = threading.Lock()
        self.changed = threading.Event()

    @property
    def newest(self) -> int | None:
        """The version that a request without version and label gets."""
        return max(self._loaded, default=None)

    def refresh(self) -> None:
        """Loads what is wanted and not loaded, then drops what is not wanted."""
        with self._refreshing:
            present, wanted = versions(self.path), self._wanted
            for version in list(self.failed):
                if self._fingerprint(version) != self._fingerprints[version]:
                    del self.failed[version]
            before = self._loaded
            if wanted is None:
                kept = next((v for v in reversed(present) if self._load(v)), None)
                # A base path that is away for a moment takes nothing out of service.
                kept = self.newest if kept is None else kept
                self._loaded = {v: item for v, item in self._loaded.items() if v == kept}
            else:
                for version in wanted:
                    self._load(version)
                self._loaded = {v: item for v, item in self._loaded.items() if v in wanted}
            # A dropped version is freed when the last request that uses it has been answered.
            dropped = bool(before.keys() - self._loaded.keys())
            if before != self._loaded:
                before = {}
                if dropped:  # a session and its graph refer to each other
                    gc.collect()
                give_back_memory()

    def find(self, spec: Any) -> "LoadedVersion":
        """The version that a request's `ModelSpec` asks for."""
        self.check_name(spec.name)
        loaded = self._loaded
        if spec.version_label and spec.version_label not in self.labels:
            raise ServingError(
                f"Unrecognized servable version label: {spec.version_label}", "INVALID_ARGUMENT"
            )
        if spec.version_label:
            asked: int | None = self.labels[spec.version_label]
        else:
            asked = spec.version.value if spec.HasField("version") else max(loaded, default=None)
        if asked is None or asked not in loaded:
            which = "Latest" if asked is None else "Specific"
            last = "" if asked is None else f", {asked}"
            raise ServingError(
                f"Servable not found for request: {which}({self.name}{last})", "NOT_FOUND"
            )
        return loaded[asked]

    def reload(self, config: Any) -> None:
        """Takes versions and labels from a `ModelServerConfig`, as a reload request has it.

        Versions load afterwards; a label moves at once, and only to a version that is loaded.
        """
        entries = list(config.model_config_list.config)
        if [entry.name for entry in entries] != [self.name]:
            raise ServingError(
                f"the development server serves {self.name!r} alone. Received: "
                f"{[entry.name for entry in entries]}",
                "INVALID_ARGUMENT",
            )
        self._wanted = list(entries[0].model_version_policy.specific.versions) or None
        self.changed.set()
        for version in entries[0].version_labels.values():
            if version not in self._loaded:
                raise ServingError(
                    f"Request to assign label to version {version} of model {self.name}, which "
                    "is not currently available for inference",
                    "FAILED_PRECONDITION",
                )
        self.labels = dict(entries[0].version_labels)

    def states(self) -> dict[int, tuple[str, str]]:
        """Version to its state, as TensorFlow Serving names it, and to the error it ended with."""
        states = {version: ("END", reason) for version, reason in list(self.failed.items())}
        waiting = [v for v in self._wanted or () if v not in states]
        states |= dict.fromkeys(waiting, ("LOADING", ""))
        return states | dict.fromkeys(self._loaded, ("AVAILABLE", ""))

    def check_name(self, name: str) -> None:
        """Refuses requests for another model."""
        if name != self.name:
            raise ServingError(f"Servable not found for request: Latest({name})", "NOT_FOUND")

    def close(self) -> None:
        """Frees all versions."""
        self._loaded = {}
        give_back_memory()

    def _load(self, version: int) -> bool:
        """Whether a version is loaded, now or before."""
        if version in self._loaded or version in self.failed:
            return version in self._loaded
        # Taken first, so that what changes meanwhile is seen as a change.
        self._fingerprints[version] = self._fingerprint(version)
        try:
            self._loaded = {
                **self._loaded,
                version: LoadedVersion(self.path / str(version), version),
            }
        except Exception as error:
            self.failed[version] = str(error)
        return version in self._loaded

    def _fingerprint(self, version: int) -> object:
        """What changes when a version's files do."""
        place = self.path / str(version)
        try:
            stats = [(str(file), file.stat()) for file in [place, *sorted(place.rglob("*"))]]
        except OSError:  # a file that went away meanwhile
            return object()
        return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


class LoadedVersion:
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
        """The named outputs of a signature."""
        if signature not in self.session.signatures:
            raise ServingError(
                f'Serving signature key "{signature}" not found.', "FAILED_PRECONDITION"
            )
        try:
            return self.session.run(columns, signature, outputs or None)
        except (ValueError, TypeError) as error:
            raise ServingError(str(error), "INVALID_ARGUMENT") from None


def status_response(states: Mapping[int, tuple[str, str]]) -> Any:
    """A `GetModelStatusResponse` of versions and their states."""
    api = serving_api("apis.get_model_status_pb2")
    response = api.GetModelStatusResponse()
    for version, (state, reason) in sorted(states.items(), reverse=True):
        added = response.model_version_status.add(version=version)
        added.state = api.ModelVersionStatus.State.Value(state)
        if reason:
            added.status.error_code, added.status.error_message = 2, reason
    return response
