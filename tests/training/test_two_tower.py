"""The two-tower job on pairs with a structure that it must find."""

import importlib.util

import numpy as np
import pytest

from rankup_keras.training import two_tower

installed = all(
    importlib.util.find_spec(name) is not None for name in ("tensorflow_recommenders", "tf_keras")
)


def pairs(count=4000, seed=0):
    """Users of two kinds, each choosing among its own ten items."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 40, count)
    items = rng.integers(0, 10, count) + 10 * (users % 2)
    return np.char.add("u", users.astype(str)), items + 100


@pytest.mark.processes
@pytest.mark.skipif(not installed, reason="needs the extra [tfrs]")
def test_vectors_find_who_goes_with_what(tmp_path):
    users, items = pairs()
    strangers = np.array(["nobody"]), np.array([100])
    valid = [np.concatenate(x) for x in zip(pairs(500, seed=1), strangers, strict=True)]
    result = two_tower.train_two_tower(
        users, items, tmp_path, validation=tuple(valid), dim=8, epochs=4, batch_size=256
    )
    assert len(result.users) == 40
    assert len(result.items) == 20
    assert result.users.dim == 8
    scores = result.users.lookup(["u0", "u1"]) @ result.items.lookup(np.arange(100, 120)).T
    assert scores[0, :10].mean() > scores[0, 10:].mean() + 1.0
    assert scores[1, 10:].mean() > scores[1, :10].mean() + 1.0
    # Ten of the twenty items are as likely as one another: half of them are in the first five.
    top_five = result.metrics["factorized_top_k/top_5_categorical_accuracy"]
    assert 0.35 < top_five < 0.65
    assert not np.any(result.users.lookup(["nobody"]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["items.npz", "metrics.json", "users.npz"]


@pytest.mark.processes
@pytest.mark.skipif(not installed, reason="needs the extra [tfrs]")
def test_frequent_items_are_not_pushed_away(tmp_path):
    """Users choose without a taste: items must be ordered by how often they are chosen."""
    rng = np.random.default_rng(0)
    shares = 0.7 ** np.arange(12) / np.sum(0.7 ** np.arange(12))
    users, items = rng.integers(0, 50, 8000), rng.choice(12, 8000, p=shares)
    result = two_tower.train_two_tower(users, items, tmp_path, dim=8, batch_size=256)
    scores = result.users.lookup(np.arange(50)) @ result.items.lookup(np.arange(12)).T
    correlation = np.corrcoef(scores.mean(axis=0), np.log(np.bincount(items)))[0, 1]
    assert correlation > 0.9, correlation


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"rankup-keras\[tfrs\]"):
        two_tower.train_two_tower([1], [2], tmp_path)


@pytest.mark.skipif(not installed, reason="needs the extra [tfrs]")
@pytest.mark.parametrize(
    ("users", "items", "validation", "message"),
    [
        ([1, 2], [3], None, "equal length"),
        ([], [], None, "integers or strings"),
        ([1.5], [1], None, "`users` must be one column of integers or strings"),
        (["a", None], [1, 2], None, "`users` must be.*none of them missing. Received 1 others"),
        ([1], [2], ([3], [2]), "No pair of `validation`"),
    ],
)
def test_wrong_pairs_are_refused(tmp_path, users, items, validation, message):
    with pytest.raises(ValueError, match=message):
        two_tower.train_two_tower(users, items, tmp_path, validation=validation)
