"""Measures a server under load: a fixed number of requests, all at once or at a rate."""

import collections
import contextlib
import itertools
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.serving.client import messages
from rankup_keras.serving.client.channels import open_channel, token_metadata
from rankup_keras.serving.client.grpc_client import Client
from rankup_keras.serving.exporting import warmup
from rankup_keras.serving.exporting.signatures import request_kind

# Requests of each signature that take turns.
_DISTINCT = 16
_LIST_WIDTH, _VALUES = 5, 1000


def load_test(
    address: str = "localhost:8500",
    model: str = "ranker",
    signatures: Sequence[str] | None = None,
    requests: int = 1000,
    clients: int = 8,
    rate: float | None = None,
    rows: int = 10,
    export: str | os.PathLike | None = None,
    version: int | None = None,
    label: str | None = None,
    timeout: float = 5.0,
    seed: int = 0,
    credentials: Any = None,
    token: str | None = None,
) -> list[dict[str, Any]]:
    """Sends requests to a server, and reports latency and refusals by signature.

    Each client has a thread and a connection of its own, and requests are made beforehand, so
    that the server is measured and not the client. Nothing is tried again.

    Args:
        address: `host:port` of the server's gRPC. Defaults to `"localhost:8500"`.
        model: the name that the model is served under.
        signatures: names of those to measure, one after the other. Defaults to all.
        requests: requests of each signature. Defaults to 1000.
        clients: requests that are under way at a time, at most. Defaults to 8.
        rate: requests per second of an open loop, whose arrivals are random (Poisson) and do not
            wait for answers: latency counts from the moment that a request was due. Defaults to a
            closed loop, in which every client sends its next request when it has its answer.
        rows: rows, or candidates of one user, of a request. Defaults to 10.
        export: a version directory whose warm-up records are sent. Defaults to made-up values,
            most of which no vocabulary knows.
        version: the version to ask for. Defaults to the newest.
        label: the label to ask for instead.
        timeout: seconds after which a request is given up. Defaults to 5.
        seed: of made-up values and arrivals. Defaults to 0.
        credentials: `grpc.ChannelCredentials` for TLS. Defaults to none.
        token: see `Client`. Defaults to none.

    Returns:
        One dict per signature: `signature`, `requests`, `answered`, `refused` (gRPC's status to
        its count), `p50_ms`, `p99_ms` and `p999_ms` of those answered, `per_second`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=9)])
    rk.export(rk.RankMixer(features, ["click"], token_dim=8), "saved_models/ranker")
    with rk.serving.DevelopmentServer("saved_models/ranker", port=0) as server:
        found = rk.serving.load_test(server.address, requests=20, clients=2)
    assert [entry["answered"] for entry in found] == [20] * len(found)
    ```

    Raises:
        ServingError: the server could not be reached, or does not have the model.
        ValueError: an argument is wrong.
    """
    for key, value in {
        "requests": requests,
        "clients": clients,
        "rate": rate,
        "rows": rows,
    }.items():
        if value is not None and not value > 0:
            raise ValueError(f"`{key}` must be positive. Received: {key}={value!r}")
    rng = np.random.default_rng(seed)
    asked: dict[str, Any] = {"version": version, "label": label}
    with Client(
        address, model, timeout=timeout, credentials=credentials, token=token, **asked
    ) as client:
        available = client.signatures()
        chosen = list(available) if signatures is None else list(signatures)
        prepared = {}
        for name in chosen:
            if (spec := available.get(name)) is None:
                raise ValueError(
                    f"`signatures` must be among {sorted(available)}. Received: {name!r}"
                )
            if request_kind(name) != "predict":
                spec = available["serving_default"]
            columns = (
                [_made_up(spec.inputs, rows, rng) for _ in range(_DISTINCT)]
                if export is None
                else _recorded(export, name, rows)
            )
            prepared[name] = [_request(name, model, each, export, asked) for each in columns]
    channels = [open_channel(address, credentials) for _ in range(clients)]
    try:
        return [
            _measure(name, each, channels, requests, rate, timeout, rng, token_metadata(token))
            for name, each in prepared.items()
        ]
    finally:
        for channel in channels:
            channel.close()


def _request(
    signature: str,
    model: str,
    columns: Mapping[str, np.ndarray],
    export: Any,
    asked: Mapping[str, Any],
) -> Any:
    kind = request_kind(signature)
    if kind != "predict" and export is None:
        columns = messages.example_column(messages.to_examples(columns))
    return messages.make_request(kind, columns, model, signature, **asked)


def _made_up(
    spec: Mapping[str, tf.TensorSpec], rows: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    columns = {}
    for name, item in spec.items():
        first = 1 if item.shape[0] == 1 else rows
        shape = (first, *(_LIST_WIDTH if size is None else size for size in item.shape[1:]))
        if item.dtype.is_floating:
            columns[name] = rng.normal(size=shape).astype(item.dtype.as_numpy_dtype)
        else:
            numbers = rng.integers(_VALUES, size=shape)
            text = item.dtype == tf.string
            columns[name] = numbers.astype(str).astype(object) if text else numbers
    return columns


def _recorded(export: str | os.PathLike, signature: str, rows: int) -> list[dict[str, np.ndarray]]:
    """The warm-up record of a signature whose rows are nearest to a number."""
    records = [columns for _, name, columns in warmup.read_warmup(export) if name == signature]
    if not records:
        raise ValueError(f"`export` has no warm-up records of {signature!r}. Received: {export}")
    return [min(records, key=lambda columns: abs(max(map(len, columns.values())) - rows))]


def _measure(
    signature: str,
    prepared: Sequence[Any],
    channels: Sequence[Any],
    requests: int,
    rate: float | None,
    timeout: float,
    rng: np.random.Generator,
    metadata: Any,
) -> dict[str, Any]:
    import grpc

    service = messages.serving_api("apis.prediction_service_pb2_grpc")
    due = None if rate is None else np.cumsum(rng.exponential(1 / rate, requests))
    turn, seconds = itertools.count(), list[float]()
    refused: collections.Counter[str] = collections.Counter()
    method = request_kind(signature).capitalize()

    def work(channel: Any) -> None:
        call = getattr(service.PredictionServiceStub(channel), method)
        while (index := next(turn)) < requests:
            began = time.perf_counter()
            if due is not None:
                began = start + due[index]
                time.sleep(max(began - time.perf_counter(), 0))
            try:
                call(prepared[index % len(prepared)], timeout=timeout, metadata=metadata)
            except grpc.RpcError as error:
                refused[error.code().name] += 1
            else:
                seconds.append(time.perf_counter() - began)

    threads = [threading.Thread(target=work, args=(channel,)) for channel in channels]
    for channel in channels:  # connecting is not measured
        call = getattr(service.PredictionServiceStub(channel), method)
        with contextlib.suppress(grpc.RpcError):
            call(prepared[0], timeout=timeout, metadata=metadata, wait_for_ready=True)
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - start
    p50, p99, p999 = np.percentile(seconds or [np.nan], (50, 99, 99.9)) * 1e3
    return {
        "signature": signature,
        "requests": requests,
        "answered": len(seconds),
        "refused": dict(refused),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "p999_ms": float(p999),
        "per_second": len(seconds) / taken,
    }
