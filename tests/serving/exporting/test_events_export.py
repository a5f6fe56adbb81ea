"""Events in an export: the user's once, checked as training rows are."""

import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.serving import SessionError, load_session
from tests.models.test_event_models import make_features, make_rows

ROWS = 12


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    features = make_features()
    model = rk.HyFormer(
        features, ["click"], token_dim=16, num_queries=1, num_blocks=1, embedding_dim=4,
        user_item_mask=True, embeddings_initializer="random_normal",
    )  # fmt: skip
    rows = make_rows(ROWS)
    path = rk.export(
        model,
        tmp_path_factory.mktemp("exports") / "events",
        warmup=rows,
        batch_sizes=(1,),
        signatures=["serving_default", "rank"],
    )
    return model, rows, path


def request(model, rows, user=1):
    """One user's columns once, as tensors; lists of one user are not padded."""
    spec = model.features.raw_spec()
    sides = {c: f.side for f in model.features.features for c in model.features.columns_of(f)}
    return {
        name: np.array([rows[name][user]] if sides[name] == "user" else rows[name]).astype(
            item.dtype.as_numpy_dtype
        )
        for name, item in spec.items()
    }


def test_rank_takes_the_users_events_once(exported):
    model, rows, path = exported
    full = {
        name: [column[1]] * ROWS if name not in ("item", "category", "price") else column
        for name, column in rows.items()
    }
    with load_session(path) as session:
        served = session.run(request(model, rows), "rank")["click"]
    want = model.predict(full, verbose=0)["click"][:, 0]
    np.testing.assert_allclose(served, want, atol=1e-6)
    assert np.ptp(want) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dwell": np.zeros((1, 2), "float32")}, "must be equally long. Received widths"),
        ({"now": np.array([1_700_000_000_000])}, "since 1970, the unit of Timestamp"),
    ],
    ids=["unequal lists", "milliseconds"],
)
def test_a_request_is_told_what_is_wrong(exported, change, message):
    model, rows, path = exported
    with load_session(path) as session, pytest.raises(SessionError, match=message):
        session.run({**request(model, rows), **change}, "rank")
