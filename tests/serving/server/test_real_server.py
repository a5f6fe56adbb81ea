"""What only a real `tensorflow_model_server` can show: REST, batching, labels."""

import json
import shutil
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

from rankup_keras.serving import Client, ServingError, export
from tests.serving import stand_in
from tests.serving.conftest import BINARY, any_server, real_server

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
            with pytest.raises(ServingError, match="0th"):
                client.rank(user, {k: v for k, v in rows.items() if k not in user})


@pytest.mark.usefixtures("binary")
def test_labels(tmp_path):
    models = [stand_in.make_small(seed) for seed in range(2)]
    rows = stand_in.small_rows(3)
    for model in models:
        export(model, tmp_path / "m", warmup=rows)
    labels = {"stable": 1, "canary": 2}
    with real_server(tmp_path / "m", tmp_path / "config", labels=labels) as server:
        for model, label in zip(models, labels, strict=True):
            with Client(server.address, "m", label=label, timeout=30) as client:
                want = stand_in.predict(model, rows)["click"]
                np.testing.assert_allclose(client.predict(rows)["click"], want, atol=1e-6)
