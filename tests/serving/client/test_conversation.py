"""The client against a server that is away, full, batching or of another version."""

import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pandas as pd
import pytest

from rankup_keras.serving import Client, DevelopmentServer, ServingError, export
from rankup_keras.serving.client import messages
from tests.serving import stand_in
from tests.serving.strict_server import StrictServer

ROW = stand_in.make_rows(1)


@pytest.fixture
def client(strict):
    with Client(strict.start().address, "ranker", timeout=30) as made:
        yield made


def sides(rows):
    """Full rows as the arguments of `rank`."""
    once = stand_in.candidates_of(rows)
    user = {name: once[name] for name in once if len(once[name]) == 1}
    return user, {name: rows[name] for name in rows if name not in user}


def test_calls_beyond_the_servers_threads_wait_for_one(strict):
    strict.seconds = 0.01
    strict.start()

    def ask(retries, calls=5):
        with Client(strict.address, "ranker", timeout=30, retries=retries) as client:
            client.spec("rank", timeout=30)
            return [client.predict(ROW)["click"].shape for _ in range(calls)]

    with futures.ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(ask, None) for _ in range(16)]
        assert [answer.result() for answer in asked] == [[(1,)] * 5] * 16
        # The stand-in is as strict as that: without further attempts calls are refused.
        refused = [threads.submit(ask, 0) for _ in range(16)]
        codes = {getattr(answer.exception(), "code", None) for answer in refused}
    assert "RESOURCE_EXHAUSTED" in codes


def test_a_server_that_batches_is_never_asked_for_no_rows(strict, client):
    strict.batching = True
    request = messages.make_request("predict", {n: v[:0] for n, v in ROW.items()}, "ranker")
    with grpc.insecure_channel(strict.address) as channel:
        stub = messages.serving_api("apis.prediction_service_pb2_grpc")
        with pytest.raises(grpc.RpcError) as caught:
            stub.PredictionServiceStub(channel).Predict(request, timeout=0.3)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    strict.calls.clear()
    none = {name: value[:0] for name, value in ROW.items()}
    user, candidates = sides(stand_in.make_rows(3))
    nobody = client.rank(user, {name: value[:0] for name, value in candidates.items()})
    for answer in (client.predict(none), nobody):
        assert {task: scores.shape for task, scores in answer.items()} == {
            "buy": (0,),
            "click": (0,),
        }
    assert client.embed(none).shape == (0, 16)
    assert client.embed(none).dtype == np.float32
    assert client.classify(none) == []
    assert client.regress(none).shape == (0,)
    with pytest.raises(ValueError, match="Missing"):
        client.predict({})
    assert set(strict.calls) == {"GetModelMetadata"}


def test_a_server_that_comes_back_is_reached_within_a_second(strict, client):
    client.predict(ROW)
    strict.stop()
    back = []

    def bring_back():
        time.sleep(2.5)
        strict.start()
        back.append(time.monotonic())

    thread = threading.Thread(target=bring_back)
    thread.start()
    try:
        client.predict(ROW, timeout=30)
        assert time.monotonic() - back[0] < 1
    finally:
        thread.join()


def test_a_server_that_stays_away_is_told_at_the_deadline(strict, client):
    client.predict(ROW)
    strict.stop()
    start = time.monotonic()
    with pytest.raises(ServingError, match=r"UNAVAILABLE \(attempt \d+, after 1\.\d s\)") as caught:
        client.predict(ROW, timeout=1.2)
    assert caught.value.code == "UNAVAILABLE"
    assert abs(time.monotonic() - start - 1.2) < 0.2
    # A mistake is told at once, although the signature might have changed meanwhile.
    with pytest.raises(ValueError, match="Unknown"):
        client.predict({**ROW, "color": ["red"]})
    assert time.monotonic() - start < 2


def test_the_first_call_keeps_its_timeout(strict, client):
    strict.seconds = 2
    start = time.monotonic()
    with pytest.raises(ServingError, match="DEADLINE_EXCEEDED"):
        client.predict(ROW, timeout=0.2)
    assert time.monotonic() - start < 0.5


@pytest.mark.parametrize(
    ("failures", "calls", "code"),
    [
        (["UNAVAILABLE"] * 2, 3, None),
        (["UNAVAILABLE"] * 9, 4, "UNAVAILABLE"),
        # Not for want of threads, but for the size of a message.
        (["RESOURCE_EXHAUSTED"], 1, "RESOURCE_EXHAUSTED"),
        (["INTERNAL"], 1, "INTERNAL"),
    ],
)
def test_what_is_tried_again_and_told(strict, failures, calls, code):
    told = []
    with Client(strict.start().address, "ranker", retries=3, on_call=told.append) as client:
        client.spec("rank")
        strict.failures = list(failures)
        if code is None:
            client.predict(ROW)
        else:
            with pytest.raises(ServingError, match="on purpose") as caught:
                client.predict(ROW)
            assert caught.value.code == code
    assert strict.calls == ["GetModelMetadata"] + ["Predict"] * calls
    assert told[-1].method == "Predict"
    assert told[-1].signature == "serving_default"
    assert told[-1].address == strict.address
    assert (told[-1].retries, told[-1].code) == (calls - 1, code or "OK")
    assert 0 < told[-1].seconds < 5


def test_the_full_graph_is_asked_for_whatever_outputs_are_wanted(strict, client):
    assert list(client.predict(ROW, outputs=["buy"])) == ["buy"]
    assert list(client.rank(*sides(stand_in.make_rows(3)), outputs=["click"])) == ["click"]
    assert [list(r.output_filter) for r in strict.requests if hasattr(r, "output_filter")] == [
        [],
        [],
    ]
    for wrong in ("buy", ["bought"]):
        with pytest.raises(ValueError, match=r"`outputs` must be a list of names among"):
            client.predict(ROW, outputs=wrong)


def test_a_version_with_other_columns_needs_no_new_client(tmp_path):
    few = {"signatures": ["serving_default", "rank"]}
    export(stand_in.make_small(), tmp_path / "m", **few)
    rows = stand_in.small_rows(3)
    more = {**rows, "shop": rows["item_id"]}
    with (
        DevelopmentServer(tmp_path / "m", port=0) as server,
        Client(server.address, "m", timeout=30) as client,
    ):
        client.predict(rows)
        export(stand_in.make_small(more=["shop"]), tmp_path / "m", **few)
        server.refresh()
        assert client.predict(more)["click"].shape == (3,)
        # The server refuses what a stale signature let through.
        export(stand_in.make_small(), tmp_path / "m", **few)
        server.refresh()
        assert client.predict(pd.DataFrame(more))["click"].shape == (3,)
        with pytest.raises(ValueError, match=r"Unknown: \['shop'\]"):
            client.predict(more)
        with pytest.raises(ValueError, match=r"among \['rank', 'serving_default'\]"):
            client.predict(rows, "__saved_model_init_op")


def test_the_sides_of_rank_are_checked_before_anything_is_sent(strict, client):
    user, candidates = sides(stand_in.make_rows(3))
    age, price = user["age"], candidates["price"]
    strict.calls.clear()
    with pytest.raises(ValueError, match=r"\['age'\] are the user's"):
        client.rank({n: v for n, v in user.items() if n != "age"}, {**candidates, "age": age})
    with pytest.raises(ValueError, match=r"\['price'\] are the candidates'"):
        client.rank(
            {**user, "price": price[:1]}, {n: v for n, v in candidates.items() if n != "price"}
        )
    assert set(strict.calls) == {"GetModelMetadata"}
    frame = pd.DataFrame({name: list(value) for name, value in candidates.items()})
    frame["note"] = "left out"
    want = client.rank(user, candidates)["click"]
    np.testing.assert_array_equal(client.rank(user, frame)["click"], want)


def test_rank_where_the_server_batches(tmp_path):
    model, rows = stand_in.make_small(), stand_in.small_rows(8)
    export(model, tmp_path / "m", warmup=rows, batching=True, batch_sizes=(1, 8))
    with pytest.raises(ValueError, match="must not have 'rank' with batching=True"):
        export(model, tmp_path / "m", signatures=["serving_default", "rank"], batching=True)
    with DevelopmentServer(tmp_path / "m", port=0) as server:
        strict = StrictServer(server.address)
        strict.batching = True
        with Client(strict.start().address, "m", timeout=30) as client:
            got = client.rank({"user_id": "user3"}, {"item_id": rows["item_id"]})["click"]
        strict.stop()
    want = stand_in.predict(model, {**rows, "user_id": np.array(["user3"] * 8, object)})["click"]
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_several_addresses_share_calls_and_lose_none(strict, development):
    other = StrictServer(development.address).start()
    strict.start()
    try:
        with Client([strict.address, other.address], "ranker", timeout=30) as client:
            for _ in range(10):
                client.predict(ROW)
            assert {strict.calls.count("Predict"), other.calls.count("Predict")} == {5}
            strict.stop()
            # Never a pause while another address is up.
            start = time.monotonic()
            for _ in range(10):
                client.predict(ROW, timeout=2)
            assert time.monotonic() - start < 2
            assert client.health()[other.address]
            strict.start()
            end = time.monotonic() + 5
            while strict.calls.count("Predict") == 5:
                assert time.monotonic() < end, "the server that is back gets no calls"
                client.predict(ROW)
    finally:
        other.stop()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"retries": -1}, "`retries` must be None"),
        ({"retries": 1.5}, "`retries` must be None"),
        ({"timeout": 0}, "`timeout` must be a positive number"),
        ({"timeout": "1"}, "`timeout` must be a positive number"),
        ({"address": []}, "`address` must be 'host:port' or a list"),
        ({"version": 1, "label": "stable"}, "exclude each other"),
    ],
)
def test_wrong_arguments_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        Client(**arguments)
