import time

from rankup_keras.serving.client.channels import AddressPool, token_metadata


def test_addresses_take_turns_and_rest_after_a_failure():
    pool = AddressPool(["a", "b", "c"])
    assert [pool.choose() for _ in range(4)] == [0, 1, 2, 0]
    pool.failed(1, seconds=60)
    assert pool.health() == {"a": True, "b": False, "c": True}
    assert {pool.choose() for _ in range(6)} == {0, 2}
    pool.failed(0, seconds=20)
    pool.failed(2, seconds=40)
    # Nothing is up: the one that is to be tried soonest.
    assert {pool.choose() for _ in range(6)} == {0}
    pool.worked(1)
    assert {pool.choose() for _ in range(6)} == {1}
    pool.failed(1, seconds=0.01)
    time.sleep(0.02)
    assert pool.health()["b"]


def test_a_token_is_sent_as_a_bearers():
    assert token_metadata(None) == []
    assert token_metadata("secret") == [("authorization", "Bearer secret")]
