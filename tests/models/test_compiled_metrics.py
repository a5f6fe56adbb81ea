"""Metrics by task; the groups of a `GAUC` are tested in `tests/metrics/test_gauc.py`."""

import keras
import pytest

import rankup_keras as rk
from rankup_keras.models.compiled_metrics import check_by_task, check_losses, metrics_by_task

TASKS = [rk.Task("click"), rk.Task("buy")]


def test_every_task_has_a_listed_metric_of_its_own():
    area = keras.metrics.AUC(name="area")
    found = metrics_by_task(["accuracy", area], TASKS)
    assert [made[0] for made in found.values()] == ["accuracy"] * 2
    assert len({id(made[1]) for made in (*found.values(), [0, area])}) == 3
    assert all(made[1].name == "area" for made in found.values())


def test_other_forms_are_left_to_keras():
    for metrics in (None, {"click": ["mse"]}, [["mse"], ["mae"]]):
        assert metrics_by_task(metrics, TASKS) == metrics


def test_the_name_auc_is_that_of_this_package_in_every_form():
    for metrics in ("auc", ["auc"], {"click": "AUC", "buy": ["mse", "auc"]}):
        found = [m for m in keras.tree.flatten(metrics_by_task(metrics, TASKS)) if m != "mse"]
        assert {type(metric) for metric in found} == {rk.metrics.AUC}
    assert {type(m) for m in metrics_by_task([keras.metrics.AUC()], TASKS)["buy"]} == {
        keras.metrics.AUC
    }


def test_names_of_this_package_are_taken_where_keras_takes_names():
    names = ["auc", "calibration", "log_loss", "ne"]
    for metrics in (names, {"click": names, "buy": names[:1]}):
        found = metrics_by_task(metrics, TASKS)
        assert [metric.name for metric in found["click"]] == names
        assert type(found["click"][3]) is rk.metrics.NormalizedEntropy
    assert [metric.name for metric in metrics_by_task("ne", TASKS)["buy"]] == ["ne"]
    assert metrics_by_task({"click": [abs, "accuracy", "mse"]}, TASKS)["click"][1:] == [
        "accuracy",
        "mse",
    ]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["nee"], "There is no metric 'nee'. Names: auc, calibration, log_loss, ne"),
        ({"click": ["gauc"]}, r"needs the feature to rank within: `rk.metrics.GAUC\('user'\)`"),
        ({"clik": ["ne"]}, r"keys among \['click', 'buy'\]. Received: {'clik'"),
    ],
)
def test_what_is_no_metric_or_no_task_is_told(metrics, message):
    with pytest.raises(ValueError, match=message):
        metrics_by_task(metrics, TASKS)


def test_losses_and_weights_have_the_names_of_tasks():
    for given in (None, "mse", {"click": 2.0}, {"click": 1.0, "buy": 2.0}):
        check_by_task("loss_weights", given, TASKS)
    check_by_task("loss_weights", [2.0], TASKS[:1])
    for given in ([1.0, 2.0], {"clik": 2.0}):
        with pytest.raises(ValueError, match=r"`loss_weights` must be given by task.*'click', 'b"):
            check_by_task("loss_weights", given, TASKS)


def test_groups_rank_in_batches_as_in_passes():
    rows = {"user": list("aabbbcc") * 3, "item": list("xyzxyzx") * 3, "click": [0, 1, 1] * 7}
    features = rk.FeatureSet([rk.Categorical("user"), rk.Categorical("item")]).adapt(rows)
    model = rk.RankMixer(features, ["click"], token_dim=4, num_blocks=1)
    model.compile(metrics=["auc", "ne", rk.metrics.GAUC("user")])
    wanted = model.evaluate(rows, verbose=0, return_dict=True)
    assert wanted["gauc"] > 0
    found = model.test_on_batch(rows, return_dict=True)
    assert found == pytest.approx(wanted, abs=1e-6)
    model.reset_metrics()
    assert sorted(model.test_on_batch(rows)) == pytest.approx(sorted(wanted.values()), abs=1e-6)
    model.reset_metrics()
    first = model.train_on_batch(rows, return_dict=True)
    assert first["gauc"] == pytest.approx(wanted["gauc"], abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "weights", "message"),
    [
        ("categorical_crossentropy", None, "`loss` must compare one probability"),
        ({"click": keras.losses.SparseCategoricalCrossentropy()}, None, "`loss` must compare one"),
        (["mse"], None, "`loss` must be given by task"),
        (None, 2.0, "`loss_weights` must be a dict .* Received: 2.0"),
        (None, {"click": 1.0, "buy": -1.0}, "a number, 0 or more. Received: .*-1.0"),
        (None, {"click": float("nan"), "buy": 1.0}, "a number, 0 or more"),
        (None, {"click": 1.0}, r"one entry for each task, \['click', 'buy'\]. Received.*click"),
    ],
)
def test_losses_that_train_nothing_are_refused(loss, weights, message):
    with pytest.raises(ValueError, match=message):
        check_losses(loss, weights, TASKS)


def test_losses_that_train_are_taken():
    with pytest.raises(ValueError, match=r"`loss` must be one loss, or a dict.*\['mse'\]"):
        check_losses(["mse"], None, TASKS[:1])
    for loss in (None, "mse", {"click": keras.losses.BinaryCrossentropy(), "buy": "bce"}):
        check_losses(loss, {"click": 1, "buy": 0.0}, TASKS)
    check_losses(None, [2.0], TASKS[:1])
