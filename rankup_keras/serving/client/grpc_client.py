"""A client for `tensorflow_model_server`, and for anything else that speaks its API."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features.columns import as_mapping, convert_columns
from rankup_keras.serving.client import messages
from rankup_keras.serving.exporting.session import check_names, tensor_specs
from rankup_keras.serving.padding import widen

# gRPC's own limit of 4 MB is less than the embeddings of a few thousand rows.
MAX_MESSAGE_BYTES = 256 * 2**20
MESSAGE_LIMITS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
]
_FIRST_WAIT = 0.02


class ServingError(RuntimeError):
    """A server refused a request or could not be reached.

    Attributes:
        code: gRPC's status, e.g. `"INVALID_ARGUMENT"`.
    """

    def __init__(self, message: str, code: str):
        super().__init__(message)
        self.code = code


class Client:
    """Scores rows on a server, from columns as Python has them.

    Columns are checked against the signature that the server itself reports, before anything is
    sent, so an error names the column rather than a node of a graph.

    Args:
        address: `host:port` of the server's gRPC. Defaults to `"localhost:8500"`.
        model: the name that the model is served under.
        version: the version to ask for. Defaults to the newest that is served.
        label: the label to ask for instead, e.g. `"canary"`.
        timeout: seconds that a call may take, retries included. Defaults to 5.
        retries: attempts after the first where the server is UNAVAILABLE; no other error is
            retried, since the server may have done the work. Defaults to 3.
        widths: width that lists are padded to, by column. A server that batches joins only
            requests of equal width; the model card has it as `max_length`. Defaults to the longest
            list of the request.
        credentials: `grpc.ChannelCredentials` for TLS. Defaults to none.

    Example:

    ```python
    import rankup_keras as rk

    user = rk.Categorical("user", hash_buckets=9, side="user")
    features = rk.FeatureSet([user, rk.Categorical("item", hash_buckets=9)])
    rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")
    with rk.serving.DevelopmentServer("saved_models/ranker", port=0) as server:
        with rk.serving.Client(server.address, model="ranker", timeout=30) as client:
            full = client.predict({"user": ["u1", "u1"], "item": ["i7", "i9"]})
            ranked = client.rank(user={"user": "u1"}, candidates={"item": ["i7", "i9"]})
    assert abs(full["click"] - ranked["click"]).max() < 1e-6
    ```

    Raises:
        ImportError: tensorflow-serving-api is not installed (extra `[serving]`).
        ServingError: the server refused, or could not be reached in time.
        ValueError: a column is missing, unknown or of the wrong shape.
        TypeError: a column has the wrong type.
    """

    def __init__(
        self,
        address: str = "localhost:8500",
        model: str = "ranker",
        version: int | None = None,
        label: str | None = None,
        timeout: float = 5.0,
        retries: int = 3,
        widths: Mapping[str, int] | None = None,
        credentials: Any = None,
    ):
        service = messages.serving_api("apis.prediction_service_pb2_grpc")
        import grpc

        if version is not None and label is not None:
            raise ValueError(
                f"`version` and `label` exclude each other. Received: {version=}, {label=}"
            )
        self.address, self.model = address, model
        self.version, self.label = version, label
        self.timeout, self.retries = timeout, retries
        self.widths = dict(widths or {})
        options = [*MESSAGE_LIMITS, ("grpc.enable_retries", 0)]
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, credentials, options)
        self._stub = service.PredictionServiceStub(self._channel)
        self._signatures: dict[str, Any] | None = None

    def predict(
        self,
        rows: Any,
        signature: str = "serving_default",
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Scores full rows.

        Args:
            rows: a dict of columns or a pandas frame; columns that the signature does not have
                are an error, in a frame they are left out.
            signature: the signature's name. Defaults to `"serving_default"`.
            outputs: the outputs wanted. Defaults to all.
            timeout: seconds. Defaults to the client's.

        Returns:
            Output name to array, one entry per row.
        """
        columns = self._columns(rows, self.spec(signature), signature)
        response = self._score("predict", columns, signature, timeout, outputs)
        return messages.read_tensors(response.outputs)

    def rank(
        self,
        user: Mapping[str, Any],
        candidates: Any,
        outputs: Sequence[str] = (),
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Scores many candidates for one user, whose columns are sent once.

        Args:
            user: the user's columns: the values themselves, or lists of one row.
            candidates: a dict of columns or a pandas frame, one row per candidate.
            outputs: the tasks wanted. Defaults to all.
            timeout: seconds. Defaults to the client's.

        Returns:
            Task to probabilities, in the order of the candidates.
        """
        spec = self.spec("rank")
        candidates = as_mapping(candidates)
        one = {name: _one_row(name, value, spec.get(name)) for name, value in user.items()}
        both = sorted(set(one) & set(candidates))
        if both:
            raise ValueError(f"Columns {both} are given for the user and for the candidates.")
        check_names({**one, **candidates}, spec, "rank")
        columns = self._columns(one, {name: spec[name] for name in one}, "rank")
        rest = {name: item for name, item in spec.items() if name not in one}
        columns.update(self._columns(candidates, rest, "rank"))
        response = self._score("predict", columns, "rank", timeout, outputs)
        return messages.read_tensors(response.outputs)

    def embed(self, rows: Any, timeout: float | None = None) -> np.ndarray:
        """The pooled representation of every row, float32 (rows, width)."""
        return self.predict(rows, "embed", timeout=timeout)["embedding"]

    def classify(self, rows: Any, timeout: float | None = None) -> list[dict[str, float]]:
        """Task to probability for every row, through the Classify call over `tf.Example`s."""
        response = self._score("classify", self._examples(rows), "classify", timeout)
        return [
            {entry.label: entry.score for entry in row.classes}
            for row in response.result.classifications
        ]

    def regress(
        self, rows: Any, signature: str = "regress", timeout: float | None = None
    ) -> np.ndarray:
        """The first task's probability for every row, through the Regress call."""
        response = self._score("regress", self._examples(rows), signature, timeout)
        return np.array([row.value for row in response.result.regressions], np.float32)

    def spec(self, signature: str) -> dict[str, tf.TensorSpec]:
        """The columns of a signature, as the server reports them; asked once per client."""
        self._signatures = self._signatures or self._ask_signatures()
        if signature not in self._signatures:
            raise ValueError(
                f"`signature` must be among {sorted(self._signatures)}, which model "
                f"{self.model!r} has. Received: {signature!r}"
            )
        return self._signatures[signature]

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _columns(
        self, rows: Any, spec: Mapping[str, tf.TensorSpec], signature: str
    ) -> dict[str, np.ndarray]:
        if isinstance(rows, Mapping):
            check_names(rows, spec, signature)
        columns = convert_columns(rows, dict(spec))
        for name in self.widths.keys() & spec.keys():
            if columns[name].ndim == 2:
                columns[name] = widen(columns[name], self.widths[name], spec[name])
        return columns

    def _examples(self, rows: Any) -> dict[str, np.ndarray]:
        # The one column of classify and regress says nothing of the columns inside the examples;
        # those of `serving_default` do.
        columns = self._columns(rows, self.spec("serving_default"), "serving_default")
        return messages.example_column(messages.to_examples(columns))

    def _score(
        self,
        kind: str,
        columns: Mapping[str, np.ndarray],
        signature: str,
        timeout: float | None,
        outputs: Sequence[str] = (),
    ) -> Any:
        request = messages.make_request(
            kind, columns, self.model, signature, outputs, self.version, self.label
        )
        return self._call(getattr(self._stub, kind.capitalize()), request, timeout)

    def _ask_signatures(self) -> dict[str, dict[str, tf.TensorSpec]]:
        api = messages.serving_api("apis.get_model_metadata_pb2")
        request = api.GetModelMetadataRequest(metadata_field=["signature_def"])
        messages.fill_model_spec(request.model_spec, self.model, "", self.version, self.label)
        response = self._call(self._stub.GetModelMetadata, request, None)
        found = api.SignatureDefMap()
        response.metadata["signature_def"].Unpack(found)
        return {
            name: tensor_specs(definition.inputs)
            for name, definition in found.signature_def.items()
        }

    def _call(self, method: Any, request: Any, timeout: float | None) -> Any:
        import grpc

        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        wait = _FIRST_WAIT
        for attempt in range(self.retries + 1):
            try:
                return method(request, timeout=max(deadline - time.monotonic(), 0.001))
            except grpc.RpcError as error:
                code, details = error.code(), error.details()
                again = code == grpc.StatusCode.UNAVAILABLE and attempt < self.retries
                if not again or time.monotonic() + wait >= deadline:
                    raise ServingError(
                        f"{self.address}, model {self.model!r}: {code.name}: {details}", code.name
                    ) from None
            time.sleep(wait)
            wait *= 2
        raise AssertionError("the last attempt returns or raises")


def _one_row(name: str, value: Any, spec: tf.TensorSpec | None) -> Any:
    """A single row's value as a column of one row."""
    if spec is None:
        return value
    depth = np.asarray(value, dtype=object).ndim
    if depth == spec.shape.rank - 1:
        return [value]
    if depth == spec.shape.rank and len(value) != 1:
        raise ValueError(f"Column {name!r} of `user` must have one row. Received: {len(value)}")
    return value
