import pytest

from rankup_keras.serving import ServingError, load_test


def test_every_signature_is_measured(development, exported):
    found = load_test(development.address, "ranker", requests=24, clients=4, export=exported)
    assert [row["signature"] for row in found] == [
        "classify", "embed", "rank", "regress", "regress_buy", "serving_default",
    ]  # fmt: skip
    for row in found:
        assert (row["requests"], row["answered"], row["refused"]) == (24, 24, {})
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["p999_ms"]
        assert row["per_second"] > 0


def test_refusals_are_counted_and_a_rate_is_kept(strict):
    strict.threads, strict.seconds = 3, 0.05
    address, only = strict.start().address, {"signatures": ["rank"], "rows": 3}
    (closed,) = load_test(address, "ranker", requests=40, clients=8, **only)
    assert closed["answered"] + closed["refused"]["RESOURCE_EXHAUSTED"] == 40
    strict.threads = 64
    # Due every 2.5 ms on average, and served at 25 ms with two clients: the waits are counted.
    (late,) = load_test(address, "ranker", requests=40, clients=2, rate=400, **only)
    assert late["refused"] == {}
    assert late["p99_ms"] > 300


def test_wrong_arguments(development):
    with pytest.raises(ValueError, match="`requests` must be positive"):
        load_test(requests=0)
    with pytest.raises(ValueError, match="`signatures` must be among"):
        load_test(development.address, "ranker", ["absent"])
    with pytest.raises(ServingError, match="NOT_FOUND"):
        load_test(development.address, "nobody")
