"""Tasks learned from rows without most of their negatives, at a rate that differs by row."""

import types

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.cli import scoring
from rankup_keras.cli.training import check_rates
from rankup_keras.metrics import exact
from rankup_keras.models.calibrated import platt
from rankup_keras.models.sampled_labels import among_kept


@pytest.fixture(scope="module")
def days():
    """All rows, and a sample: of ad k's 1,000 rows k + 1 % are clicked."""
    ad, place = np.divmod(np.arange(10_000), 1000)
    click = (place < 10 * (ad + 1)).astype("float32")
    rate = np.where(ad % 2, 0.5, 0.1)  # by a column of the row
    rows = {"ad": ad, "click": click, "rate": rate.astype("float32")}
    kept = (click == 1) | (place % np.where(ad % 2, 2, 10) == 0)
    return rows, {name: column[kept] for name, column in rows.items()}


def make(days, keep_rate="rate", **task):
    keras.utils.set_random_seed(0)
    features = rk.FeatureSet([rk.Categorical("ad")]).adapt(days[0])
    model = rk.DCNv2(features, [rk.Task("click", keep_rate=keep_rate, **task)], embedding_dim=4)
    model.compile(keras.optimizers.Adam(0.05))
    return model


@pytest.fixture(scope="module")
def model(days):
    model = make(days)
    model.fit(days[1], batch_size=len(days[1]["ad"]), epochs=120, verbose=0)
    return model


def test_logits_are_shifted_by_the_logarithm_of_the_rate():
    rng = np.random.default_rng(0)
    p, rate = rng.uniform(0.01, 0.99, (9, 1)), rng.uniform(0.01, 1, (9, 1))
    found = among_kept({"click": p, "lower/click": p, "buy": p}, {"click": rate})
    logit = np.log(p / (1 - p)) - np.log(rate)
    np.testing.assert_allclose(found["click"], 1 / (1 + np.exp(-logit)), rtol=1e-12)
    np.testing.assert_array_equal(found["lower/click"], found["click"])
    np.testing.assert_array_equal(found["buy"], p)


def test_predictions_are_the_rates_of_all_rows(days, model):
    rows = {"ad": days[0]["ad"]}  # serving needs no rates
    found = model.predict(rows, batch_size=10_000, verbose=0)["click"][:, 0]
    assert found.mean() == pytest.approx(days[0]["click"].mean(), rel=0.01)
    for rate in (0.1, 0.5):
        own = np.isclose(days[0]["rate"], rate)
        assert found[own].mean() == pytest.approx(days[0]["click"][own].mean(), rel=0.01)


def test_a_number_is_the_loss_that_corrects_by_it(days):
    sample = {**days[1], "rate": np.full(len(days[1]["ad"]), 0.25)}
    loss = rk.losses.DownsampledCrossentropy(0.25)
    models = [make(days, None, loss=loss), make(days, 0.25), make(days)]
    found = [m.evaluate(sample, batch_size=512, verbose=0, return_dict=True) for m in models]
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[0] == pytest.approx(found[2], abs=1e-6)
    assert found[0]["loss"] != pytest.approx(found[0]["log_loss"], abs=1e-3)  # metrics see p


def test_with_labels_that_are_missing_and_on_single_batches(days):
    model = make(days, missing_labels="skip")
    known = {name: column[:60] for name, column in days[1].items()}
    more = {name: np.r_[column, column[:20]] for name, column in known.items()}
    more["click"][60:] = np.nan
    found = [model.evaluate(x, verbose=0, return_dict=True)["loss"] for x in (known, more)]
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    one = model.test_on_batch(known, return_dict=True)["loss"]
    assert one == pytest.approx(found[0], abs=1e-6)
    apart = {name: column for name, column in known.items() if name != "click"}
    assert model.test_on_batch(apart, known["click"]) == model.test_on_batch(known)


@pytest.mark.parametrize("wrong", [0.0, -0.5, 1.5, np.nan])
def test_rates_that_are_none(days, model, wrong):
    rows = {name: column[:9].copy() for name, column in days[1].items()}
    rows["rate"][7] = wrong
    with pytest.raises(ValueError, match=rf"rate, must lie in \(0, 1\].*{wrong} in row 7"):
        model.fit(rows, verbose=0)
    data = tf.data.Dataset.from_tensor_slices(rows).batch(9)
    with pytest.raises(ValueError, match="column rate, must lie in"):
        model.fit(data, verbose=0)


def test_a_rate_that_is_masked(days, model):
    rows = {name: column[:9] for name, column in days[1].items()}
    rows["rate"] = np.ma.array(rows["rate"], mask=np.arange(9) == 7)
    with pytest.raises(ValueError, match="1 others, such as nan in row 7"):
        model.fit(rows, verbose=0)


def test_rates_of_positive_rows_that_are_their_own(days, model, tmp_path):
    own = {**days[1], "rate": np.where(days[1]["click"] == 1, 1, days[1]["rate"])}
    with pytest.warns(UserWarning, match="is 1 in all positive rows"):
        model.test_on_batch(own)
    pq.write_table(pa.table(own), tmp_path / "a.parquet")
    files = rk.data.Files(str(tmp_path / "a.parquet"), model.features, model.tasks)
    with pytest.warns(UserWarning, match="is 1 in all positive rows"):
        check_rates(types.SimpleNamespace(tasks=model.tasks, parts={"train": files}))


def test_columns_and_arguments_that_are_none(days, model):
    rows = {name: column for name, column in days[1].items() if name != "rate"}
    with pytest.raises(ValueError, match="names the column 'rate', which rows with labels must"):
        model.fit(rows, verbose=0)
    for wrong in (0, 1.5, True, "", "click", ["rate"]):
        with pytest.raises(ValueError, match="`keep_rate` of task 'click' must be a number in"):
            rk.Task("click", keep_rate=wrong)
    with pytest.raises(ValueError, match="each corrects for the rate"):
        rk.Task("click", keep_rate="r", loss=rk.losses.DownsampledCrossentropy(0.5))
    with pytest.raises(ValueError, match="how a row was sampled is not known when it is served"):
        rk.DCNv2(model.features, [rk.Task("click", keep_rate="ad")])
    again = rk.Task.from_config(rk.Task("click", keep_rate="rate").get_config())
    assert again.keep_rate == "rate"


@pytest.fixture(scope="module")
def files(days, model, tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "a.parquet"
    pq.write_table(pa.table(days[1]), path)
    files = rk.data.Files(str(path), model.features, model.tasks)
    files.rows = len(days[1]["ad"])
    return files


@pytest.mark.parametrize("encoded", [True, False])
def test_from_files(days, model, files, encoded):
    wanted = model.evaluate(days[1], batch_size=512, verbose=0, return_dict=True)
    found = model.evaluate(files.dataset(512, encoded=encoded), verbose=0, return_dict=True)
    assert found == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("wrong", [0.0, 1.25, None])
def test_files_with_a_rate_that_is_none(days, model, tmp_path, wrong):
    rate = days[1]["rate"].tolist()
    rate[5] = wrong
    pq.write_table(pa.table({**days[1], "rate": rate}), tmp_path / "a.parquet")
    files = rk.data.Files(str(tmp_path / "a.parquet"), model.features, model.tasks)
    with pytest.raises(rk.data.DataError, match=r"`keep_rate` must lie in \(0, 1\]") as told:
        rk.data.adapt(rk.FeatureSet([rk.Categorical("ad")]), files)
    assert (told.value.column, told.value.line) == ("rate", 6)


def test_metrics_and_calibrations_of_files_are_those_of_all_rows(days, model, files):
    rows, found, _ = scoring.evaluate(model, files, 512, None)
    scores = model.predict(days[0], batch_size=10_000, verbose=0)["click"]
    assert rows == len(days[1]["ad"])
    for name in ("auc", "ne", "calibration"):
        wanted = scoring.METRICS[name](days[0]["click"], scores)
        assert found["click"][name] == pytest.approx(wanted, rel=0.01)
    assert exact.calibration(days[1]["click"], model.predict(days[1], verbose=0)["click"]) < 0.5
    calibrated = rk.calibrate(model, days[1])
    layer = next(x for x in calibrated.layers if isinstance(x, rk.layers.PlattScaling))
    p, y = scores[:, 0].astype("float64"), days[0]["click"].astype("float64")
    slope, offset = platt(p, y, np.ones(len(y)))
    assert float(layer.slope) == pytest.approx(slope, abs=0.02)
    assert float(layer.offset) == pytest.approx(offset, abs=0.08)
