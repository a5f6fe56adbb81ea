"""What a client does, step by step, whether a thread waits for each step or an event loop."""

import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from rankup_keras.features.columns import as_mapping, convert_columns
from rankup_keras.serving.client import messages
from rankup_keras.serving.client.call_record import CallRecord
from rankup_keras.serving.client.channels import AddressPool, token_metadata
from rankup_keras.serving.client.serving_error import ServingError
from rankup_keras.serving.exporting.session import Signature, check_names, tensor_specs
from rankup_keras.serving.padding import widen

DEFAULT, RANK = "serving_default", "rank"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
# What a server answers when its threads, or a limit of its own on calls at a time, are used up;
# a message that is too large has the same status.
_BUSY = ("threadpool exhausted", "concurrent rpc limit")
# What it answers to the columns or the name of a signature that it no longer has.
_CHANGED = ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND")

Result = TypeVar("Result")


class Attempt(NamedTuple):
    """A request to be sent once: to which address, with how much time."""

    place: int
    method: str
    request: Any
    timeout: float


# A step is an attempt, answered by the server's response or by an error thrown in, or a pause in
# seconds.
Steps = Generator[Attempt | float, Any, Result]
Signatures = Mapping[str, Signature]


class Conversation:
    """The arguments and the steps of `Client` and `AsyncClient`, which document both."""

    def __init__(
        self,
        address: str | Sequence[str] = "localhost:8500",
        model: str = "ranker",
        version: int | None = None,
        label: str | None = None,
        timeout: float = 5.0,
        retries: int | None = None,
        widths: Mapping[str, int] | None = None,
        credentials: Any = None,
        token: str | None = None,
        on_call: Callable[[CallRecord], None] | None = None,
    ):
        self._service = messages.serving_api("apis.prediction_service_pb2_grpc")
        addresses = [address] if isinstance(address, str) else list(address)
        if not addresses or not all(isinstance(item, str) and item for item in addresses):
            raise ValueError(
                f"`address` must be 'host:port' or a list of them. Received: {address}"
            )
        if version is not None and label is not None:
            raise ValueError(
                f"`version` and `label` exclude each other. Received: {version=}, {label=}"
            )
        if retries is not None and (
            isinstance(retries, bool) or not isinstance(retries, int) or retries < 0
        ):
            raise ValueError(
                "`retries` must be None, for as many as the timeout has room for, or an integer "
                f"that is not negative. Received: {retries=}"
            )
        self.addresses, self.model = addresses, model
        self.version, self.label = version, label
        self.timeout, self.retries = _seconds(timeout), retries
        self.widths = dict(widths or {})
        self._credentials, self._on_call = credentials, on_call
        self._metadata = token_metadata(token)
        self._pool = AddressPool(addresses)
        self._stubs: dict[int, Any] = {}
        self._channels: list[Any] = []
        self._signatures: dict[str, Signature] | None = None

    def health(self) -> dict[str, bool]:
        """Address to whether calls go to it; one that failed is left out for up to half a second.

        While every address has failed, all are tried.
        """
        return self._pool.health()

    def _steps_of_signatures(self, timeout: float | None) -> Steps[dict[str, Signature]]:
        return (yield from self._ask(self._deadline(timeout)))

    def _steps_of_spec(self, signature: str, timeout: float | None) -> Steps[Any]:
        def work(signatures: Signatures) -> Steps[Any]:
            yield from ()
            return self._find(signatures, signature).inputs

        return (yield from self._knowing(work, self._deadline(timeout)))

    def _steps_of_predict(
        self, rows: Any, signature: str, outputs: Sequence[str], timeout: float | None
    ) -> Steps[dict[str, np.ndarray]]:
        deadline = self._deadline(timeout)

        def work(signatures: Signatures) -> Steps[dict[str, np.ndarray]]:
            found = self._find(signatures, signature)
            names = _chosen(outputs, found, signature)
            columns = self._columns(rows, found.inputs, signature)
            return (yield from self._scores(columns, signature, found, names, deadline))

        return (yield from self._knowing(work, deadline))

    def _steps_of_rank(
        self,
        user: Mapping[str, Any],
        candidates: Any,
        outputs: Sequence[str],
        timeout: float | None,
    ) -> Steps[dict[str, np.ndarray]]:
        deadline = self._deadline(timeout)

        def work(signatures: Signatures) -> Steps[dict[str, np.ndarray]]:
            # A server that batches has no `rank`, whose columns differ in length.
            name = RANK if RANK in signatures else DEFAULT
            found = self._find(signatures, name)
            names = _chosen(outputs, found, name)
            of_user, of_candidates = self._sides(user, candidates, found.inputs, name)
            if name == DEFAULT:
                count = _fewest_rows(of_candidates)
                of_user = {key: value.repeat(count, axis=0) for key, value in of_user.items()}
            columns = {**of_user, **of_candidates}
            return (yield from self._scores(columns, name, found, names, deadline))

        return (yield from self._knowing(work, deadline))

    def _steps_of_examples(
        self, kind: str, rows: Any, signature: str, timeout: float | None
    ) -> Steps[Any]:
        """Steps to the response of a Classify or Regress call; `None` for no rows."""
        deadline = self._deadline(timeout)

        def work(signatures: Signatures) -> Steps[Any]:
            # The one column of classify and regress says nothing of the columns inside the
            # examples; those of `serving_default` do.
            columns = self._columns(rows, self._find(signatures, DEFAULT).inputs, DEFAULT)
            if not _fewest_rows(columns):
                return None
            examples = messages.example_column(messages.to_examples(columns))
            request = self._request(kind.lower(), examples, signature)
            return (yield from self._call(kind, request, signature, deadline))

        return (yield from self._knowing(work, deadline))

    def _knowing(
        self, work: Callable[[Signatures], Steps[Result]], deadline: float
    ) -> Steps[Result]:
        """Does some work with the signatures, and again if it fails because they have changed."""
        known = self._signatures
        if known is None:
            return (yield from work((yield from self._ask(deadline))))
        try:
            return (yield from work(known))
        except (ValueError, TypeError, ServingError) as error:
            if isinstance(error, ServingError) and error.code not in _CHANGED:
                raise
            try:
                # Once: a wrong column is to be told also while the server is away.
                fresh = yield from self._ask(deadline, retries=0)
            except ServingError:
                raise error from None
            if fresh == known:
                raise
        return (yield from work(fresh))

    def _ask(self, deadline: float, retries: int | None = None) -> Steps[dict[str, Signature]]:
        api = messages.serving_api("apis.get_model_metadata_pb2")
        request = api.GetModelMetadataRequest(metadata_field=["signature_def"])
        messages.fill_model_spec(request.model_spec, self.model, "", self.version, self.label)
        response = yield from self._call("GetModelMetadata", request, "", deadline, retries)
        found = api.SignatureDefMap()
        response.metadata["signature_def"].Unpack(found)
        self._signatures = {
            name: Signature(tensor_specs(item.inputs), tensor_specs(item.outputs), item.method_name)
            for name, item in sorted(found.signature_def.items())
            # The loader's own bookkeeping, such as `__saved_model_init_op`, takes no requests.
            if not name.startswith("__")
        }
        return self._signatures

    def _scores(
        self,
        columns: Mapping[str, np.ndarray],
        signature: str,
        found: Signature,
        names: Sequence[str],
        deadline: float,
    ) -> Steps[dict[str, np.ndarray]]:
        # A server that batches keeps a request without rows until another one joins it.
        if not _fewest_rows(columns):
            return {name: _no_rows(found.outputs[name]) for name in names}
        # All outputs are asked for: a server prunes and optimizes its graph anew for each set of
        # them, which takes half a second, and warm-up records cover the full one.
        request = self._request("predict", columns, signature)
        response = yield from self._call("Predict", request, signature, deadline)
        return messages.read_tensors({name: response.outputs[name] for name in names})

    def _call(
        self,
        method: str,
        request: Any,
        signature: str,
        deadline: float,
        retries: int | None = None,
    ) -> Steps[Any]:
        """Sends a request until it is answered, refused for good, or out of time."""
        import grpc

        limit = self.retries if retries is None else retries
        began, pauses, attempts = time.monotonic(), _pauses(), 0
        while True:
            place = self._pool.choose()
            attempts += 1
            try:
                answer = yield Attempt(place, method, request, _left(deadline))
            except grpc.RpcError as error:
                code, details = error.code().name, error.details() or ""
            else:
                self._pool.worked(place)
                self._tell(method, signature, place, began, attempts, "OK")
                return answer
            again = _may_retry(code, details) and (limit is None or attempts <= limit)
            if again:
                pause = next(pauses)
                self._pool.failed(place, pause)
                if not any(self.health().values()):
                    yield min(pause, _left(deadline))
                if time.monotonic() + 0.001 < deadline:
                    continue
            self._tell(method, signature, place, began, attempts, code)
            tried = (
                ""
                if attempts == 1
                else (f" (attempt {attempts}, after {time.monotonic() - began:.1f} s)")
            )
            raise ServingError(
                f"{self.addresses[place]}, model {self.model!r}: {code}{tried}: {details}", code
            ) from None

    def _tell(
        self, method: str, signature: str, place: int, began: float, attempts: int, code: str
    ) -> None:
        if self._on_call is not None:
            seconds, address = time.monotonic() - began, self.addresses[place]
            self._on_call(CallRecord(method, signature, address, seconds, attempts - 1, code))

    def _request(self, kind: str, columns: Mapping[str, np.ndarray], signature: str) -> Any:
        return messages.make_request(
            kind, columns, self.model, signature, version=self.version, label=self.label
        )

    def _deadline(self, timeout: float | None) -> float:
        return time.monotonic() + (self.timeout if timeout is None else _seconds(timeout))

    def _find(self, signatures: Signatures, name: str) -> Signature:
        if name not in signatures:
            raise ValueError(
                f"`signature` must be among {sorted(signatures)}, which model {self.model!r} has. "
                f"Received: {name!r}"
            )
        return signatures[name]

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

    def _sides(
        self, user: Mapping[str, Any], candidates: Any, spec: Mapping[str, tf.TensorSpec], name: str
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The user's columns as one row, and the candidates' columns."""
        one = {key: _one_row(key, value, spec.get(key)) for key, value in user.items()}
        given: Mapping[str, Any] = as_mapping(candidates)
        if not isinstance(candidates, Mapping):
            given = {key: value for key, value in given.items() if key in spec}
        if both := sorted(set(one) & set(given)):
            raise ValueError(f"Columns {both} are given for the user and for the candidates.")
        check_names({**one, **given}, spec, name)
        # An export says which columns are the user's by their one row.
        users = {key for key, item in spec.items() if item.shape[0] == 1}
        if users and (misplaced := sorted(users & set(given))):
            raise ValueError(f"Columns {misplaced} are the user's: give them once, in `user`.")
        if users and (misplaced := sorted(set(one) - users)):
            raise ValueError(
                f"Columns {misplaced} are the candidates': give a value for each, in `candidates`."
            )
        rest = {key: item for key, item in spec.items() if key not in one}
        return (
            self._columns(one, {key: spec[key] for key in one}, name),
            self._columns(given, rest, name),
        )


def _pauses() -> Iterator[float]:
    """Seconds before each further attempt; random, lest all clients come back at one moment."""
    longest = _FIRST_PAUSE
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(longest * 1.6, _LONGEST_PAUSE)


def _may_retry(code: str, details: str) -> bool:
    busy = code == "RESOURCE_EXHAUSTED" and any(words in details.lower() for words in _BUSY)
    return busy or code == "UNAVAILABLE"


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


def _seconds(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise ValueError(f"`timeout` must be a positive number of seconds. Received: {timeout!r}")
    return float(timeout)


def _chosen(outputs: Sequence[str], found: Signature, signature: str) -> list[str]:
    if isinstance(outputs, str) or not set(outputs) <= set(found.outputs):
        raise ValueError(
            f"`outputs` must be a list of names among {sorted(found.outputs)}, which signature "
            f"{signature!r} has. Received: {outputs!r}"
        )
    return list(outputs) or list(found.outputs)


def _fewest_rows(columns: Mapping[str, np.ndarray]) -> int:
    return min(map(len, columns.values()))


def _no_rows(spec: tf.TensorSpec) -> np.ndarray:
    shape = (0, *(size or 0 for size in spec.shape[1:]))
    return np.zeros(shape, spec.dtype.as_numpy_dtype)


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
