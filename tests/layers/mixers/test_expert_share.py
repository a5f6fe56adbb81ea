import numpy as np

from rankup_keras.layers.mixers.expert_share import ExpertShare


def test_mean_and_least_over_batches():
    mean, least = ExpertShare("mean", name="a"), ExpertShare("min", name="b")
    for metric in (mean, least):
        metric.build_for(3)
        metric.update_state([1.0, 0.5, 0.0])
        metric.update_state([0.5, 0.0, 0.25])
    np.testing.assert_allclose(mean.result(), (0.75 + 0.25 + 0.125) / 3)
    np.testing.assert_allclose(least.result(), 0.125)


def test_nothing_counted_is_not_a_share_of_zero():
    metric = ExpertShare("min", name="share")
    assert np.isnan(metric.result())
    metric.build_for(2)
    metric.update_state([0.5, 1.0])
    metric.reset_state()
    assert np.isnan(metric.result())
