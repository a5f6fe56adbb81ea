"""Labels that some rows lack: the loss and the metrics of a task are those of the others."""

import keras
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import tensorflow as tf

import rankup_keras as rk

ROWS = 60
TASKS = ["click", rk.Task("buy", weight=0.5, missing_labels="skip")]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    buy = rng.integers(0, 2, ROWS).astype("float32")
    return {
        "ad": [f"a{k}" for k in rng.integers(0, 5, ROWS)],
        "user": [f"u{k}" for k in rng.integers(0, 5, ROWS)],
        "click": rng.integers(0, 2, ROWS),
        "buy": np.where(rng.random(ROWS) < 0.4, np.nan, buy),
    }


def make(rows, tasks):
    keras.utils.set_random_seed(0)
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    model = rk.DLRM(features, tasks, embedding_dim=4, top_units=(8,))
    model.compile(weighted_metrics=[keras.metrics.MeanSquaredError(name="mse")])
    return model


@pytest.fixture(scope="module")
def model(rows):
    model = make(rows, TASKS)
    for weight in model.trainable_weights:
        weight.assign(keras.random.normal(weight.shape, seed=1) * 0.5)
    return model


def gradients(model, rows):
    x, y, weights = model._rows.examples(rows)
    with tf.GradientTape() as tape:
        y_pred = model({name: tf.constant(v) for name, v in x.items()})
        y = {name: tf.constant(v) for name, v in y.items()}
        loss = model.compute_loss(x, y, y_pred, weights)
    return [tf.convert_to_tensor(g) for g in tape.gradient(loss, model.trainable_variables)]


def only(rows, keep):
    return {name: np.asarray(column)[keep] for name, column in rows.items()}


def test_gradient_is_that_of_the_rows_with_labels(model, rows):
    known = ~np.isnan(rows["buy"])
    click = {**rows, "buy": np.full(ROWS, np.nan)}
    # The sum over tasks: all rows of the one, the rows with labels of the other.
    whole, of_click = gradients(model, rows), gradients(model, click)
    known_rows = only(rows, known)
    of_buy = [
        a - b
        for a, b in zip(
            gradients(model, known_rows),
            gradients(model, {**known_rows, "buy": np.full(known.sum(), np.nan)}),
            strict=True,
        )
    ]
    for both, first, second in zip(whole, of_click, of_buy, strict=True):
        np.testing.assert_allclose(both, first + second, atol=1e-7)
    assert max(np.abs(g).max() for g in of_buy) > 1e-3


def test_metrics_are_those_of_the_rows_with_labels(model, rows):
    known = ~np.isnan(rows["buy"])
    found = model.evaluate(rows, batch_size=16, verbose=0, return_dict=True)
    scores = model.predict(rows, verbose=0)["buy"][:, 0]
    y = rows["buy"][known]
    # Equal rows score equal but for the last bit, which would break ties.
    scores = np.round(scores, 6)
    assert found["buy_auc"] == pytest.approx(
        sklearn.metrics.roc_auc_score(y, scores[known]), abs=1e-3
    )
    assert found["buy_log_loss"] == pytest.approx(
        sklearn.metrics.log_loss(y, scores[known].astype("float64")), abs=1e-5
    )
    assert found["buy_mse"] == pytest.approx(np.mean((y - scores[known]) ** 2), abs=1e-5)
    clicks = sklearn.metrics.log_loss(
        rows["click"], model.predict(rows, verbose=0)["click"].astype("float64")
    )
    assert found["click_log_loss"] == pytest.approx(clicks, abs=1e-5)


def test_forms_of_missing_labels_train_alike(rows):
    frame = pd.DataFrame(rows)
    nullable = frame.assign(buy=pd.array(rows["buy"], dtype="Float32"))
    dataset = tf.data.Dataset.from_tensor_slices(
        {name: np.asarray(column) for name, column in rows.items()}
    ).batch(20)
    losses = []
    for data in (rows, frame, nullable, dataset):
        model = make(rows, TASKS)
        fitted = model.fit(data, batch_size=20, shuffle=False, epochs=2, verbose=0)
        losses.append(fitted.history["buy_loss"])
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], rtol=1e-5)
    assert np.isfinite(losses).all()


def log_losses(labels, scores):
    return -np.log(np.where(labels == 1, scores, 1 - scores.astype("float64")))


@pytest.mark.parametrize("weighted", [False, True])
def test_losses_of_an_epoch_are_those_of_its_rows_with_labels(model, rows, weighted):
    # A batch without labels, one with a single one, and two others.
    rows = {**rows, "buy": np.where(np.arange(ROWS) < 29, np.nan, rows["buy"])}
    rows["buy"][29] = 1
    known = ~np.isnan(rows["buy"])
    weights = np.linspace(0, 3, ROWS).astype("float32") if weighted else np.ones(ROWS)
    kwargs = {"batch_size": 15, "verbose": 0, "sample_weight": weights if weighted else None}
    found = model.evaluate(rows, return_dict=True, **kwargs)
    scores = {name: column[:, 0] for name, column in model.predict(rows, verbose=0).items()}
    click = np.mean(weights * log_losses(rows["click"], scores["click"]))
    buy = np.mean((weights * log_losses(rows["buy"], scores["buy"]))[known])
    assert found["click_loss"] == pytest.approx(click, abs=1e-5)
    assert found["buy_loss"] == pytest.approx(buy, abs=1e-5)
    assert found["loss"] == pytest.approx(click + 0.5 * buy, abs=1e-5)
    model.optimizer.learning_rate = 0.0
    fitted = model.fit(rows, shuffle=False, epochs=2, **kwargs).history
    assert fitted["loss"] == pytest.approx([found["loss"]] * 2, abs=1e-5)
    assert fitted["buy_loss"] == pytest.approx([found["buy_loss"]] * 2, abs=1e-5)
    # Metrics count sample weights where they were asked to, and only there.
    y, p = rows["buy"][known], scores["buy"][known].astype("float64")
    assert found["buy_log_loss"] == pytest.approx(sklearn.metrics.log_loss(y, p), abs=1e-5)
    wanted = sklearn.metrics.roc_auc_score(y, np.round(p, 6))
    assert found["buy_auc"] == pytest.approx(wanted, abs=1e-3)
    wanted = sklearn.metrics.mean_squared_error(y, p, sample_weight=weights[known])
    assert found["buy_mse"] == pytest.approx(wanted, abs=1e-5)


def test_the_loss_of_one_task(rows):
    model = make(rows, [rk.Task("buy", missing_labels="skip", label="buy")])
    rows = {**rows, "buy": np.where(np.arange(ROWS) < 29, np.nan, rows["buy"])}
    known = ~np.isnan(rows["buy"])
    scores = model.predict(rows, verbose=0)["buy"][:, 0]
    found = model.evaluate(rows, batch_size=15, verbose=0)
    assert found[0] == pytest.approx(log_losses(rows["buy"], scores)[known].mean(), abs=1e-5)


def test_a_batch_without_labels_and_sample_weights(model, rows):
    none = {**rows, "buy": np.full(ROWS, np.nan)}
    logs = model.test_on_batch(none, return_dict=True)
    assert np.isfinite(logs["loss"])
    known = ~np.isnan(rows["buy"])
    weights = {"click": np.ones(ROWS), "buy": np.linspace(0, 2, ROWS)}
    model.reset_metrics()
    found = model.evaluate(
        rows, sample_weight=weights, verbose=0, return_dict=True, batch_size=ROWS
    )
    scores = model.predict(rows, verbose=0)["buy"][:, 0]
    expected = np.average((rows["buy"] - scores)[known] ** 2, weights=weights["buy"][known])
    assert found["buy_mse"] == pytest.approx(expected, rel=1e-4)


def test_refused_by_default_with_the_way_out(rows):
    model = make(rows, ["click", "buy"])
    with pytest.raises(ValueError, match=r"others, such as nan. `Task\('buy', missing_"):
        model.fit(rows, verbose=0)
    with pytest.raises(ValueError, match="'buy' must be 'refuse' or 'skip'"):
        rk.Task("buy", missing_labels="zero")


def test_files_and_reload(rows, tmp_path, model):
    pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")])
    files = rk.data.Files(tmp_path / "rows.parquet", features, TASKS)
    found = rk.data.adapt(features, files)
    assert found.labels["buy"] == pytest.approx(np.nanmean(rows["buy"]))
    labels = np.concatenate([y["buy"] for _, y in files.dataset(batch_size=20).as_numpy_iterator()])
    np.testing.assert_array_equal(labels.ravel(), rows["buy"].astype("float32"))
    with pytest.raises(rk.data.DataError, match="a label must be 0 or 1"):
        rk.data.scan(rk.data.Files(tmp_path / "rows.parquet", features, ["click", "buy"]))
    model.train_on_batch(rows)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.tasks[1].missing_labels == "skip"
    assert again.evaluate(rows, verbose=0) == pytest.approx(model.evaluate(rows, verbose=0))
    again.train_on_batch(rows)
    assert np.isfinite(again.evaluate(rows, verbose=0)).all()


def test_a_task_after_another_is_the_product(rows):
    model = make(rows, ["click", rk.Task("buy", after="click", missing_labels="skip")])
    found = model.predict(rows, verbose=0)
    assert (found["buy"] < found["click"]).all()
    # Missing where there was no click: it is certain that nothing was bought.
    certain = np.isnan(rows["buy"]) & (rows["click"] == 0)
    told = {**rows, "buy": np.where(certain, 0.0, rows["buy"])}
    wanted = pytest.approx(model.evaluate(told, batch_size=ROWS, verbose=0))
    assert model.evaluate(rows, batch_size=ROWS, verbose=0) == wanted
    assert model.evaluate(tf.data.Dataset.from_tensors(rows), verbose=0) == wanted
    for ours, wanted in zip(gradients(model, rows), gradients(model, told), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-7)
    model.fit(rows, verbose=0)
    assert set(model.get_config()["tasks"][1]["config"]) >= {"after", "missing_labels"}
