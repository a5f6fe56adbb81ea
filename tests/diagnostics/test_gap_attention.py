import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.diagnostics import AttentionByGap, attention_by_gap, report
from tests.diagnostics import profiles


def make_model(kind, **events):
    features = rk.FeatureSet(
        [
            rk.Categorical("item", num_ids=9),
            rk.Timestamp("now"),
            rk.Events("c", {"clicked": "item"}, 20, time="at", request_time="now", **events),
        ]
    )
    return kind(features, ["click"], token_dim=8, num_blocks=1)


ROWS = {
    "item": [1, 2, 3],
    "now": [10**6] * 3,
    "clicked": [[4, 5], [], [6] * 3],
    "at": [[10**6 - 90_000, 10**6 - 30], [], [10**6 - 100, 10**6 - 99, 10**6 - 98]],
}


@pytest.mark.parametrize("kind", [rk.MixFormer, rk.HyFormer])
def test_shares_add_up_and_equal_events_share_alike(kind):
    model = make_model(kind)
    found = attention_by_gap(model, ROWS)
    (name,) = found.attention
    # Half a row's events within a minute, half within a week; the other row's within an hour.
    np.testing.assert_allclose(found.events[name], [0.25, 0.5, 0, 0.25, 0, 0, 0])
    np.testing.assert_allclose(found.attention[name].sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(found.attention[name][[1, 2]], [0.5, 0], atol=1e-6)
    layer = model.get_layer(name)
    layer.key.assign(0 * layer.key)
    alike = attention_by_gap(model, ROWS)
    np.testing.assert_allclose(alike.attention[name], found.events[name], atol=1e-6)


def test_merged_sequences_share_one_attention():
    features = rk.FeatureSet(
        [
            rk.Categorical("item", num_ids=9),
            rk.Timestamp("now"),
            rk.Events("a", {"clicked": "item"}, 20, time="at", request_time="now"),
            rk.Events("b", {"bought": "item"}, 3, time="then", request_time="now"),
        ]
    )
    model = rk.MixFormer(features, ["click"], token_dim=8, num_blocks=1)
    rows = {**ROWS, "bought": [[1], [], []], "then": [[10**6 - 30], [], []]}
    found = attention_by_gap(model, rows)
    (name,) = found.attention
    # Two of the first row's three events within a minute.
    np.testing.assert_allclose(found.events[name], [1 / 3, 0.5, 0, 1 / 6, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found.attention[name].sum(), 1, rtol=1e-6)


def test_it_is_drawn(tmp_path):
    shares = np.array([0.5, 0.5])
    found = AttentionByGap(["hour", "longer"], {"block_1": shares}, {"block_1": shares})
    found.plot(tmp_path / "attention.png")
    assert (tmp_path / "attention.png").stat().st_size > 1000
    path = report([profiles.profile_of()], tmp_path / "page.html", attention=found)
    text = (tmp_path / "page.html").read_text()
    assert path.endswith("page.html")
    assert "Attention over time" in text


def test_a_model_without_times_is_refused():
    with pytest.raises(ValueError, match="no layer that attends to events"):
        attention_by_gap(make_model(rk.MixFormer, time_features=["bucket"]), ROWS)
