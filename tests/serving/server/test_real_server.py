"""What only a real `tensorflow_model_server` can show, and what the stand-ins for it show too."""

import contextlib
import json
import shutil
import threading
import time
import urllib.error
import urllib.request
from concurrent import futures

import numpy as np
import pytest

from rankup_keras.serving import Client, ServingError, export, load_test, promote
from tests.serving import stand_in
from tests.serving.conftest import BINARY, any_server, free_port, real_server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def rest(exported, tmp_path_factory):
    with any_server("real", exported.parent, tmp_path_factory.mktemp("config")) as server:
        yield f"http://{server.rest}/v1/models/{server.name}"


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def plain(rows):
    return {name: value.tolist() for name, value in rows.items()}


def finite_rows(count):
    """JSON has no NaN."""
    rows = stand_in.make_rows(count)
    return {**rows, "price": np.nan_to_num(rows["price"])}


def test_rest_by_columns_and_by_rows(model, rest):
    rows = finite_rows(4)
    want = stand_in.predict(model, rows)["click"]
    columns = post(f"{rest}:predict", {"inputs": plain(rows)})["outputs"]["click"]
    np.testing.assert_allclose(columns, want, atol=1e-6)
    instances = [{k: v[i] for k, v in plain(rows).items()} for i in range(4)]
    answers = post(f"{rest}:predict", {"instances": instances})["predictions"]
    np.testing.assert_allclose([a["click"] for a in answers], want, atol=1e-6)


def test_rest_rank_and_regress(model, rest):
    rows = finite_rows(6)
    once = stand_in.candidates_of(rows)
    full = {k: v.repeat(6, 0) if len(v) == 1 else v for k, v in once.items()}
    body = {"signature_name": "rank", "inputs": plain(once)}
    got = post(f"{rest}:predict", body)["outputs"]["buy"]
    np.testing.assert_allclose(got, stand_in.predict(model, full)["buy"], atol=1e-6)
    examples = [{k: v[i] for k, v in plain(rows).items()} for i in range(6)]
    body = {"signature_name": "regress", "examples": examples}
    got = post(f"{rest}:regress", body)["results"]
    np.testing.assert_allclose(got, stand_in.predict(model, rows)["click"], atol=1e-6)


def test_rest_errors(rest):
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(f"{rest}:predict", {"inputs": {"age": [0.5]}})
    assert caught.value.code == 400
    caught.value.close()


@pytest.fixture
def binary():
    if not shutil.which(BINARY):
        pytest.skip(f"no {BINARY} on PATH")


@pytest.mark.usefixtures("binary")
def test_batching(model, tmp_path):
    export(
        model, tmp_path / "m", warmup=stand_in.make_rows(40), batching=True, batch_sizes=(1, 8, 32)
    )
    wrong = []

    def ask(address, seed):
        rows = stand_in.make_rows(3, seed=seed)
        want = stand_in.predict(model, rows)["click"]
        with Client(address, "m", widths={"history": 5, "genres": 2, "interests": 3}) as client:
            for _ in range(20):
                if not np.allclose(client.predict(rows)["click"], want, atol=1e-5):
                    wrong.append(seed)

    with real_server(tmp_path / "m", tmp_path / "config") as server:
        threads = [threading.Thread(target=ask, args=(server.address, n)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        with Client(server.address, "m") as client:
            with pytest.raises(ServingError):
                client.predict(stand_in.make_rows(33))
            rows = stand_in.candidates_of(stand_in.make_rows(5))
            user = {k: v for k, v in rows.items() if len(v) == 1}
            candidates = {k: v for k, v in rows.items() if k not in user}
            assert client.rank(user, candidates)["click"].shape == (5,)
            # Without rows the server would wait for another request, and the client does not ask.
            none = {k: v[:0] for k, v in stand_in.make_rows(1).items()}
            assert client.predict(none, timeout=0.5)["click"].shape == (0,)


@pytest.mark.usefixtures("binary")
def test_labels_are_promoted_and_rolled_back(tmp_path):
    models = {seed: stand_in.make_small(seed) for seed in (1, 2, 3)}
    rows, place = stand_in.small_rows(3), tmp_path / "config"
    for model in models.values():
        export(model, tmp_path / "m", warmup=rows)

    def check(label, version):
        with Client(server.address, "m", label=label, timeout=30) as client:
            want = stand_in.predict(models[version], rows)["click"]
            np.testing.assert_allclose(client.predict(rows)["click"], want, atol=1e-6)

    with real_server(tmp_path / "m", place, labels={"stable": 1, "canary": 2}) as server:
        check("stable", 1)
        check("canary", 2)
        check(None, 2)
        before = promote(place, {"stable": 2, "canary": 3}, server.address)
        check("stable", 2)
        check("canary", 3)
        promote(place, before, server.address)
        check("stable", 1)


@pytest.mark.usefixtures("binary")
def test_ordinary_concurrency_is_not_refused(exported, tmp_path):
    with real_server(exported.parent, tmp_path, clients=32) as server:
        found = load_test(server.address, "ranker", ["rank"], 640, 32, export=exported)
    assert found[0]["refused"] == {}


@pytest.mark.usefixtures("binary")
def test_a_restart_is_bridged(exported, tmp_path):
    ports, row = (free_port(), free_port()), stand_in.make_rows(1)
    with real_server(exported.parent, tmp_path, ports) as server:
        client = Client(server.address, "ranker", timeout=120)
        client.predict(row)
    with client, futures.ThreadPoolExecutor(1) as thread:
        asked = thread.submit(client.predict, row)
        time.sleep(5)
        assert not asked.done()
        with pytest.raises(ServingError, match="UNAVAILABLE"):
            client.predict(row, timeout=1)
        with real_server(exported.parent, tmp_path, ports):
            start = time.monotonic()
            asked.result()
            assert time.monotonic() - start < 2


@pytest.mark.usefixtures("binary")
def test_swaps_as_a_client_sees_them(tmp_path):
    """Other columns, single outputs, and broken versions that do not hold up a good one."""
    rows, few = stand_in.small_rows(3), {"signatures": ["serving_default"], "batch_sizes": (3,)}
    more = {**rows, "shop": rows["item_id"]}
    export(stand_in.make_small(), tmp_path / "m", warmup=rows, **few)
    with (
        real_server(tmp_path / "m", tmp_path / "config") as server,
        Client(server.address, "m", timeout=30) as client,
    ):
        client.predict(rows)
        assert "__saved_model_init_op" not in client.signatures()
        for version in (2, 3):
            shutil.copytree(tmp_path / "m" / "1", tmp_path / "m" / str(version))
            (tmp_path / "m" / str(version) / "saved_model.pb").write_bytes(b"nonsense")
        time.sleep(2)
        export(stand_in.make_small(more=["shop"]), tmp_path / "m", warmup=more, **few)
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(ValueError):
                start = time.monotonic()
                assert list(client.predict(more, outputs=["click"])) == ["click"]
                break
            assert time.monotonic() < end
            time.sleep(0.1)
        # The first call of a single output: warm.
        assert time.monotonic() - start < 0.3


def test_a_missing_number_over_rest(model, rest):
    rows = finite_rows(2)
    missing = {**rows, "price": np.full(2, np.nan, np.float32)}
    want = stand_in.predict(model, missing)["click"]
    # Python's json writes the bare word NaN.
    got = post(f"{rest}:predict", {"inputs": plain(missing)})["outputs"]["click"]
    np.testing.assert_allclose(got, want, atol=1e-6)
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(f"{rest}:predict", {"inputs": {**plain(rows), "price": [None, None]}})
    assert caught.value.code == 400
    caught.value.close()
