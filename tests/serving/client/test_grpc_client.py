import numpy as np
import pandas as pd
import pytest

from rankup_keras.serving import Client, ServingError, load_session
from tests.serving import stand_in


@pytest.fixture(scope="module")
def client(served):
    with Client(served.address, served.name, timeout=30) as made:
        yield made


def full_rows(rows):
    count = len(rows["item_id"])
    return {
        k: v.repeat(count, 0) if len(v) < count else v
        for k, v in stand_in.candidates_of(rows).items()
    }


def test_a_thousand_rows_through_every_signature(model, exported, client):
    rows = stand_in.make_rows(1000, seed=4)
    want = stand_in.predict(model, rows)
    got = client.predict(rows)
    assert set(got) == {"click", "buy"}
    classes = client.classify(rows)
    for task in want:
        np.testing.assert_allclose(got[task], want[task], atol=1e-6)
        np.testing.assert_allclose([row[task] for row in classes], want[task], atol=1e-6)
    np.testing.assert_allclose(client.regress(rows), want["click"], atol=1e-6)
    np.testing.assert_allclose(client.regress(rows, "regress_buy"), want["buy"], atol=1e-6)
    with load_session(exported) as session:
        np.testing.assert_allclose(
            client.embed(rows), session.run(rows, "embed")["embedding"], atol=1e-6
        )


@pytest.mark.parametrize("count", [1, 7, 100, 1000])
def test_rank(model, client, count):
    rows = stand_in.make_rows(count, seed=count)
    want = stand_in.predict(model, full_rows(rows))
    sides = stand_in.candidates_of(rows)
    user = {k: sides[k] for k in ("user_id", "age", "city", "interests", "history", "user_vector")}
    candidates = {k: v for k, v in sides.items() if k not in user}
    got = client.rank(user, candidates)
    for task in want:
        np.testing.assert_allclose(got[task], want[task], atol=1e-6)
    order = np.random.default_rng(1).permutation(count)
    again = client.rank(user, {k: v[order] for k, v in candidates.items()}, outputs=["buy"])
    assert list(again) == ["buy"]
    np.testing.assert_allclose(again["buy"], got["buy"][order], atol=1e-5)


def test_plain_values_and_a_frame(model, client):
    rows = stand_in.make_rows(3)
    user = {
        "user_id": "user1",
        "age": 0.5,
        "city": 3,
        "interests": ["drama"],
        "history": ["item1", "item2"],
        "user_vector": [0.1, 0.2, 0.3],
    }
    names = ["item_id", "shop", "genres", "price", "item_vector"]
    frame = pd.DataFrame({k: list(rows[k]) for k in names})
    got = client.rank(user, frame)
    want = stand_in.predict(
        model, {**{k: [v] * 3 for k, v in user.items()}, **{k: rows[k] for k in names}}
    )
    np.testing.assert_allclose(got["click"], want["click"], atol=1e-6)
    full = pd.DataFrame({k: list(v) for k, v in rows.items()})
    full["note"] = "left out"
    np.testing.assert_allclose(
        client.predict(full)["buy"], stand_in.predict(model, rows)["buy"], atol=1e-6
    )


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"age": None}, ValueError, r"Missing: \['age'\]"),
        ({"color": ["red"] * 4}, ValueError, r"Unknown: \['color'\]"),
        ({"city": ["Paris"] * 4}, TypeError, "'city'"),
        ({"item_id": np.arange(4)}, TypeError, "'item_id'"),
        ({"item_vector": np.zeros((4, 9), np.float32)}, ValueError, "'item_vector'"),
        ({"history": ["flat"] * 4}, TypeError, "'history'"),
        ({"price": np.zeros(3, np.float32)}, ValueError, "'price'"),
    ],
)
def test_wrong_columns_are_named_before_anything_is_sent(client, change, error, match):
    rows = {k: v for k, v in {**stand_in.make_rows(4), **change}.items() if v is not None}
    with pytest.raises(error, match=match):
        client.predict(rows)


def test_wrong_sides(client):
    rows = stand_in.make_rows(2)
    user = {"user_id": "u", "age": 0.1, "city": 1, "interests": [], "history": []}
    candidates = {k: rows[k] for k in ("item_id", "shop", "genres", "price", "item_vector")}
    with pytest.raises(ValueError, match=r"Missing: \['user_vector'\]"):
        client.rank(user, candidates)
    user["user_vector"] = [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match=r"\['price'\] are given for the user and"):
        client.rank({**user, "price": 1.0}, candidates)
    with pytest.raises(ValueError, match="'user_id' of `user` must have one row"):
        client.rank({**user, "user_id": ["a", "b"]}, candidates)
    with pytest.raises(ValueError, match="`signature` must be among"):
        client.predict(rows, "absent")


def test_what_the_server_refuses(served):
    rows = stand_in.make_rows(2)
    with Client(served.address, "nobody") as client, pytest.raises(ServingError) as caught:
        client.predict(rows)
    assert caught.value.code == "NOT_FOUND"
    with Client(served.address, served.name, version=99) as client:
        with pytest.raises(ServingError, match="99") as caught:
            client.predict(rows)
        assert caught.value.code == "NOT_FOUND"
    with Client(served.address, served.name, version=1) as client:
        assert client.predict(rows)["click"].shape == (2,)
        with pytest.raises(ValueError, match=r"among \['buy', 'click'\].*nothing"):
            client.predict(rows, outputs=["nothing"])
    with pytest.raises(ValueError, match="exclude each other"):
        Client(served.address, version=1, label="stable")


def test_answers_above_four_megabytes(client):
    rows = stand_in.make_rows(80_000)
    assert client.embed(rows).nbytes > 4 * 2**20


def test_lists_are_padded_to_a_width(model, served):
    rows = stand_in.make_rows(4, history=2)
    with Client(served.address, served.name, widths={"history": 9}) as client:
        columns = client._columns(rows, client.spec("serving_default"), "serving_default")
        assert columns["history"].shape == (4, 9)
        np.testing.assert_allclose(
            client.predict(rows)["click"], stand_in.predict(model, rows)["click"], atol=1e-6
        )
