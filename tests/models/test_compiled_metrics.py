"""Metrics by task; the groups of a `GAUC` are tested in `tests/metrics/test_gauc.py`."""

import keras

import rankup_keras as rk
from rankup_keras.models.compiled_metrics import metrics_by_task

TASKS = [rk.Task("click"), rk.Task("buy")]


def test_every_task_has_a_listed_metric_of_its_own():
    area = keras.metrics.AUC(name="area")
    found = metrics_by_task(["accuracy", area], TASKS)
    assert [made[0] for made in found.values()] == ["accuracy"] * 2
    assert len({id(made[1]) for made in (*found.values(), [0, area])}) == 3
    assert all(made[1].name == "area" for made in found.values())


def test_other_forms_are_left_to_keras():
    for metrics in (None, {"click": ["auc"]}, [["auc"], ["mae"]]):
        assert metrics_by_task(metrics, TASKS) is metrics
