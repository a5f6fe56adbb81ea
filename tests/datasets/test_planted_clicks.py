"""Clicks of known probabilities: one seed one data set, and what is best is known."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from rankup_keras.datasets import PlantedClicks
from rankup_keras.datasets.planted_clicks import BLOCK, expected

SMALL = {"rank": 3, "num_fields": 5, "num_users": 50, "num_items": 40, "num_values": 9}


def same(a, b):
    assert a.keys() == b.keys()
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_rows_are_the_same_however_they_are_read():
    clicks = PlantedClicks(seed=3, **SMALL)
    start, count = BLOCK - 30, 70
    columns, labels, true = clicks.rows(start, count)
    again, other = PlantedClicks(seed=3, **SMALL), PlantedClicks(seed=4, **SMALL)
    assert same(columns, again.rows(start, count)[0])
    assert not same(columns, other.rows(start, count)[0])
    parts = list(again.batches(32, start, count))
    assert [len(part[1]["click"]) for part in parts] == [32, 32, 6]
    for name, column in columns.items():
        np.testing.assert_array_equal(np.concatenate([part[0][name] for part in parts]), column)
    whole = next(iter(again.dataset(count, start, count)))
    assert same(columns, {name: np.asarray(x) for name, x in whole[0].items()})
    np.testing.assert_array_equal(whole[1]["click"], labels["click"])
    assert columns["history"].shape == (count, 8)
    assert np.all((true > 0) & (true < 1))


def test_logits_are_the_sum_of_what_is_planted():
    clicks = PlantedClicks(pairs=2, triples=1, history_length=3, half_life=1.0, **SMALL)
    columns, _, true = clicks.rows(0, 20)
    latent, names = clicks._latent, list(clicks.num_ids)
    for i in range(20):
        ids = [columns[name][i] for name in names]
        v = [latent[f][a] for f, a in enumerate(ids)]
        expected = -1.5 + 0.5 * sum(m[a] for m, a in zip(clicks._main, ids, strict=True)) / 5**0.5
        expected += v[0] @ v[1] / 3**0.5
        for fields, signs in clicks._terms[2]:
            expected += sum(signs * v[fields[0]] * v[fields[1]]) / (2 * 3) ** 0.5
        (fields, signs), *_ = clicks._terms[3]
        expected += 0.7 * sum(signs * v[fields[0]] * v[fields[1]] * v[fields[2]]) / 3**0.5
        # The newest item stands last, and each before it counts half.
        past = [clicks._past[a] @ v[1] for a in columns["history"][i]]
        weights = np.array([0.25, 0.5, 1.0])
        expected += 0.7 * weights @ past / np.sqrt(3 * (weights**2).sum())
        assert true[i] == pytest.approx(1 / (1 + np.exp(-expected)), rel=1e-9)


def test_entropy_and_auc_are_what_the_true_probabilities_reach():
    """Within four standard errors over labels; and no other order of the rows does better."""
    clicks, count = PlantedClicks(seed=1, **SMALL), 40_000
    best = clicks.bayes(0, count)
    _, labels, true = clicks.rows(0, count)
    y = labels["click"]
    error = 4 * np.sqrt(np.mean(true * (1 - true) * np.log(true / (1 - true)) ** 2) / count)
    assert abs(log_loss(y, true) - best.log_loss) < error
    assert abs(roc_auc_score(y, true) - best.auc) < 0.01
    noisy = true * np.exp(np.random.default_rng(0).normal(size=count))
    assert roc_auc_score(y, noisy) < best.auc - 0.02
    # By hand: two rows; the pairs of a click and none are weighed by their chance.
    p, q = 0.8, 0.3
    found = expected(np.array([q, p]), np.array([0.1, 0.2]))
    assert found.auc == pytest.approx(p * (1 - q) / (p * (1 - q) + q * (1 - p)))
    by_hand = [t * np.log(s) + (1 - t) * np.log(1 - s) for t, s in ((q, 0.1), (p, 0.2))]
    assert found.log_loss == pytest.approx(-np.mean(by_hand))


def test_ids_follow_zipfs_law_and_stay_in_range():
    clicks = PlantedClicks(zipf=1.0, **SMALL)
    columns = clicks.rows(0, 60_000)[0]
    counts = np.bincount(columns["item"], minlength=40)
    assert len(counts) == 40
    np.testing.assert_allclose(counts[0] / counts[[1, 3, 7]], [2, 4, 8], rtol=0.1)
    assert clicks.features().encode({k: v[:5] for k, v in columns.items()})


def test_wrong_arguments():
    with pytest.raises(ValueError, match="strengths of"):
        PlantedClicks(strengths={"luck": 1.0})
