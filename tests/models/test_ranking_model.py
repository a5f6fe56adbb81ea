"""What models take and give: raw rows in every form, labels, weights, saving."""

import json
import pathlib

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf

import rankup_keras as rk
from tests.helpers.workers import Program
from tests.models import tiny


@pytest.fixture(scope="module")
def model():
    """A model to train on and on; no test depends on its weights."""
    features = tiny.make_features()
    model = rk.RankMixer(features, tiny.TASKS, 8, 4, 1, 1, embedding_dim=2)
    model.compile()
    return model


KEYS = {"loss"} | {f"{t}_{m}" for t in ("click", "buy") for m in ("loss", "auc", "log_loss")}


def fit(model, *args, **kwargs):
    return model.fit(*args, verbose=0, batch_size=kwargs.pop("batch_size", 32), **kwargs).history


def test_ways_to_give_rows_and_labels(model):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    whole = {**rows, **labels}
    frame = pd.DataFrame({name: list(column) for name, column in whole.items()})
    table = pa.table({name: list(column) for name, column in whole.items()})
    encoded = model.encode(rows)
    for args in (
        ((rows, labels),),
        ((rows, labels, np.ones(tiny.ROWS)),),
        (whole,),
        (frame,),
        (table,),
        (encoded, labels),
    ):
        assert set(fit(model, *args)) == KEYS
    for dataset in (
        tiny.as_dataset(whole),
        tiny.as_dataset(rows, labels, np.ones(tiny.ROWS)),
        model.encode(tiny.as_dataset(rows, labels)),
    ):
        assert set(fit(model, dataset, batch_size=None)) == KEYS


def test_validation(model):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    wanted = KEYS | {f"val_{key}" for key in KEYS}
    assert set(fit(model, rows, labels, validation_split=0.25)) == wanted
    for data in (
        (rows, labels),
        (rows, labels, np.ones(tiny.ROWS)),
        {**rows, **labels},
        tiny.as_dataset(rows, labels),
    ):
        assert set(fit(model, rows, labels, validation_data=data)) == wanted


def test_all_ways_evaluate_and_predict_alike(model):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    whole = {**rows, **labels}
    expected = model.evaluate(rows, labels, verbose=0, return_dict=True)
    dataset = tiny.as_dataset(rows, labels, batch=32)
    for x in (whole, tiny.as_dataset(whole, batch=32), dataset, (rows, labels)):
        actual = model.evaluate(x, verbose=0, return_dict=True)
        for name, value in expected.items():
            np.testing.assert_allclose(actual[name], value, atol=1e-5, err_msg=name)
    scores = model.predict(rows, verbose=0)
    assert list(scores) == ["click", "buy"]
    backwards = dict(reversed(rows.items()))
    for x in (dataset, tiny.as_dataset(rows), whole, backwards, model.encode(rows)):
        again = model.predict(x, verbose=0)
        for name, values in scores.items():
            assert values.shape == (tiny.ROWS, 1)
            assert values.dtype == np.float32
            np.testing.assert_allclose(again[name], values, atol=1e-6)


def test_no_rows(model):
    none = {name: column[:0] for name, column in tiny.make_rows().items()}
    scores = model.predict(none, verbose=0)
    assert {n: values.shape for n, values in scores.items()} == {"click": (0, 1), "buy": (0, 1)}


def test_weights_of_samples_and_tasks():
    rows, labels = tiny.make_rows(), tiny.make_labels()
    weights = np.r_[np.ones(tiny.ROWS // 2), np.zeros(tiny.ROWS // 2)]
    model = tiny.make_rankmixer()
    model.compile()
    half = {name: column[: tiny.ROWS // 2] for name, column in rows.items()}
    half_labels = {name: column[: tiny.ROWS // 2] for name, column in labels.items()}
    alone = model.evaluate(half, half_labels, verbose=0, return_dict=True)
    weighted = model.evaluate(rows, labels, sample_weight=weights, verbose=0, return_dict=True)
    np.testing.assert_allclose(2 * weighted["loss"], alone["loss"], rtol=1e-4)
    np.testing.assert_allclose(
        alone["loss"], alone["click_loss"] + 2.0 * alone["buy_loss"], rtol=1e-4
    )


def test_compiling_with_ones_own_loss_and_metrics():
    rows, labels = tiny.make_rows(), tiny.make_labels()
    model = tiny.make_rankmixer()
    model.compile("sgd", metrics=["accuracy", keras.metrics.AUC(name="area")])
    history = fit(model, rows, labels)
    assert {"click_accuracy", "buy_accuracy", "click_area", "buy_area"} <= set(history)
    # Each task has an area of its own.
    assert history["click_area"] != history["buy_area"]
    model.compile("sgd", loss={"click": "mse", "buy": "mse"}, metrics={"click": ["mae"], "buy": []})
    history = fit(model, rows, labels)
    assert "click_mae" in history
    assert "buy_mae" not in history


def test_one_task_takes_an_array_of_labels():
    features = tiny.make_features()
    model = rk.RankMixer(features, "click", 8, 4, 1, 1, embedding_dim=2)
    model.compile()
    rows, labels = tiny.make_rows(), tiny.make_labels()["click"]
    for y in (labels, labels[:, None].tolist(), {"click": labels.astype(bool)}):
        assert np.isfinite(fit(model, rows, y)["loss"]).all()
    assert np.isfinite(fit(model, tiny.as_dataset(rows, labels), batch_size=None)["loss"]).all()
    assert list(model.predict(rows, verbose=0)) == ["click"]


def test_labels_in_a_column_of_another_name():
    tasks = [rk.Task("click", label="clicked")]
    model = rk.RankMixer(tiny.make_features(), tasks, 8, 4, 1, 1, embedding_dim=2)
    model.compile()
    rows = {**tiny.make_rows(), "clicked": tiny.make_labels()["click"]}
    assert np.isfinite(fit(model, rows)["loss"]).all()
    assert np.isfinite(fit(model, tiny.as_dataset(rows), batch_size=None)["loss"]).all()


def without(columns, name):
    return {key: value for key, value in columns.items() if key != name}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x, y: (x, without(y, "buy")), ValueError, r"Tasks \['buy'\] have no labels"),
        (lambda x, y: ({**x, "click": y["click"]}, None), ValueError, r"\['buy'\] have no labels"),
        (lambda x, y: (x, None), ValueError, r"no labels: .* none of the name 'click'\. `Task\("),
        (
            lambda x, y: ({k: v[:0] for k, v in x.items()}, {"click": [], "buy": []}),
            ValueError,
            "There are no rows to train on",
        ),
        (lambda x, y: (x, y["buy"]), ValueError, "Labels must be a dict with one entry for each"),
        (
            lambda x, y: (x, {**y, "buy": y["buy"] * 2}),
            ValueError,
            r"Labels of task 'buy' must lie in \[0, 1\].*such as 2.0",
        ),
        (lambda x, y: (x, {**y, "buy": [None] * tiny.ROWS}), ValueError, "such as nan"),
        (
            lambda x, y: (x, {**y, "buy": ["no"] * tiny.ROWS}),
            TypeError,
            "numbers. Received: 'no'. `Task",
        ),
        (
            lambda x, y: (x, {**y, "buy": np.zeros((tiny.ROWS, 2))}),
            ValueError,
            r"shape \(rows,\) or \(rows, 1\). Received shape \(64, 2\)",
        ),
        (lambda x, y: (without(x, "age"), y), ValueError, r"Columns are missing: \['age'\]"),
        (
            lambda x, y: ({**x, "item": ["a"] * tiny.ROWS}, y),
            TypeError,
            "must hold 64-bit integers",
        ),
        (lambda x, y: ({**x, "age": [1.0]}, y), ValueError, "Columns must have equal length"),
        (lambda x, y: ([1, 2], y), TypeError, "Raw rows must be a dict of columns.*list"),
        (lambda x, y: (None, y), TypeError, "Raw rows must be.*NoneType"),
        (
            lambda x, y: (tiny.as_dataset(x, y).unbatch(), None),
            ValueError,
            "without a batch dimension",
        ),
        (lambda x, y: (tiny.as_dataset(x), None), ValueError, r"\['click', 'buy'\] have no"),
        (lambda x, y: (tiny.as_dataset(x, without(y, "buy")), None), ValueError, "have no labels"),
        (
            lambda x, y: (tiny.as_dataset(x, {**y, "buy": ["a"] * tiny.ROWS}), None),
            TypeError,
            "Labels of task 'buy' must be numbers. Received dtype string",
        ),
        (
            lambda x, y: (tiny.as_dataset(x, {**y, "buy": y["buy"] * 2}), None),
            ValueError,
            r"Labels of task buy must lie in \[0, 1\]. Received: \[0 2",
        ),
        (
            lambda x, y: (tf.data.Dataset.from_tensors(np.zeros((2, 2))), None),
            TypeError,
            "must yield a dict of columns",
        ),
    ],
)
def test_wrong_data(model, change, error, message):
    x, y = change(tiny.make_rows(), tiny.make_labels())
    with pytest.raises(error, match=message):
        model.fit(x, y, verbose=0)


def test_a_label_must_not_be_a_feature():
    with pytest.raises(ValueError, match=r"label of task 'age', column 'age', is also a feature"):
        rk.RankUp(tiny.make_features(), ["age"])
    with pytest.raises(ValueError, match="is also a feature"):
        rk.RankMixer(tiny.make_features(), [rk.Task("click", label="item")])


@pytest.mark.parametrize("tasks", [[], ["a", "a"], [rk.Task("a"), "a"]])
def test_wrong_tasks(tasks):
    with pytest.raises(ValueError, match="`tasks` must be tasks of different names"):
        rk.RankMixer(tiny.make_features(), tasks)


def test_every_variable_learns():
    for make in tiny.MAKERS.values():
        model = make()
        model.compile(optimizer=keras.optimizers.Adam(0.01))
        before = {v.path: v.numpy() for v in model.trainable_variables}
        rows = tiny.make_rows()
        # Missing vectors, or the bias that stands for them would not learn.
        rows["user_vector"][:5] = 0.0
        fit(model, rows, tiny.make_labels(), batch_size=tiny.ROWS)
        same = [v.path for v in model.trainable_variables if np.all(before[v.path] == v.numpy())]
        assert not same


def test_one_seed_gives_one_model():
    results = []
    for _ in range(2):
        model = tiny.make_rankup()
        model.compile(optimizer="adam")
        fit(model, tiny.make_rows(), tiny.make_labels(), batch_size=16)
        results.append([variable.numpy() for variable in model.variables])
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_strange_rows_score(trained):
    for scores in trained.predict(tiny.strange_rows(), verbose=0).values():
        assert np.isfinite(scores).all()
        assert ((scores > 0) & (scores < 1)).all()


def test_saved_model_goes_on_where_it_was(trained, tmp_path):
    path = str(tmp_path / "model.keras")
    trained.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is type(trained)
    assert loaded.get_config() == json.loads(json.dumps(trained.get_config()))
    assert loaded.optimizer.iterations == trained.optimizer.iterations
    for mine, saved in zip(loaded.optimizer.variables, trained.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, saved)
    rows, labels = tiny.make_rows(), tiny.make_labels()
    expected = trained.evaluate(rows, labels, verbose=0, return_dict=True)
    actual = loaded.evaluate(rows, labels, verbose=0, return_dict=True)
    assert set(expected) == KEYS
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, atol=1e-6)
    assert np.isfinite(fit(loaded, rows, labels)["loss"]).all()
    with pytest.raises(RuntimeError, match="Make a new FeatureSet"):
        trained.features.adapt(rows)


@pytest.mark.processes
def test_saved_models_score_raw_rows_in_another_process(tmp_path):
    rows = {
        name: np.asarray(column).tolist() if name not in ("genres", "history") else column
        for name, column in tiny.make_rows().items()
    }
    rows = {name: [*column, *tiny.strange_rows()[name]] for name, column in rows.items()}
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    expected, paths = {}, []
    for name, make in tiny.MAKERS.items():
        paths.append(str(tmp_path / f"{name}.keras"))
        model = make()
        model.compile()
        model.save(paths[-1])
        expected[paths[-1]] = model.predict(rows, verbose=0)
    script = pathlib.Path(__file__).with_name("reload.py")
    program = Program(script, tmp_path / "rows.json", *paths)
    errors = program.communicate()[1]
    assert program.poll() == 0, errors[-3000:]
    for path in paths:
        scores = np.load(f"{path}.npz")
        for task, values in expected[path].items():
            np.testing.assert_allclose(scores[task], values, atol=1e-6)


@pytest.mark.parametrize("make", list(tiny.MAKERS.values()), ids=list(tiny.MAKERS))
def test_half_precision(make):
    model, lower = make(), make(dtype="mixed_bfloat16")
    lower.set_weights(model.get_weights())
    rows = tiny.make_rows()
    expected, actual = model.predict(rows, verbose=0), lower.predict(rows, verbose=0)
    for name, values in actual.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected[name], atol=0.05)
    assert all(variable.dtype == "float32" for variable in lower.trainable_variables)
    lower.compile(optimizer=keras.optimizers.Adam(0.01))
    losses = lower.fit(rows, tiny.make_labels(), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert lower.from_config(lower.get_config()).get_layer("tokens").compute_dtype == "bfloat16"


def test_weights_file(trained, tmp_path):
    path = str(tmp_path / "model.weights.h5")
    trained.save_weights(path)
    other = tiny.MAKERS[trained.name]()
    other.load_weights(path)
    rows = tiny.make_rows()
    for own, theirs in zip(trained.weights, other.weights, strict=True):
        np.testing.assert_array_equal(own, theirs)
    # The two may run as different graphs: the number of rows is known to the first one traced.
    expected, actual = trained.predict(rows, verbose=0), other.predict(rows, verbose=0)
    np.testing.assert_allclose(actual["buy"], expected["buy"], rtol=0, atol=1e-6)


def test_hdf5_has_no_place_for_vocabularies(trained, tmp_path):
    for name in ("model.h5", "model.hdf5"):
        with pytest.raises(ValueError, match=r"no place for the vocabularies.*`.keras`.*model.h"):
            trained.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"no place for the vocabularies.*`.keras`"):
        keras.models.save_model(trained, tmp_path / "model.h5")


def test_export_is_the_serving_export(trained, tmp_path):
    rows = tiny.make_rows()
    path = trained.export(tmp_path / "ranker", warmup=rows, signatures=["serving_default"])
    assert path == tmp_path / "ranker" / "1"
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    assert set(served.structured_input_signature[1]) == set(trained.features.raw_spec())
    with pytest.raises(ValueError, match=r"`format` must be 'tf_saved_model'.*format='onnx'"):
        trained.export(tmp_path / "ranker", format="onnx")


def test_a_loss_of_the_tasks_own():
    focal = keras.losses.BinaryFocalCrossentropy(gamma=3.0)
    tasks = [rk.Task("click", loss="mse"), rk.Task("buy", loss=focal)]
    model = rk.RankMixer(tiny.make_features(), tasks, 8, 4, 1, 1, embedding_dim=2)
    model.compile("sgd")
    rows, labels = tiny.make_rows(), tiny.make_labels()
    found = model.evaluate(rows, labels, verbose=0, return_dict=True)
    scores = model.predict(rows, verbose=0)
    mse = np.mean((scores["click"][:, 0] - labels["click"]) ** 2)
    np.testing.assert_allclose(found["click_loss"], mse, rtol=1e-5)
    wanted = focal(labels["buy"][:, None].astype("float32"), scores["buy"])
    np.testing.assert_allclose(found["buy_loss"], wanted, rtol=1e-5)
    again = model.from_config(model.get_config())
    assert again.tasks[1].loss.get_config() == focal.get_config()


def test_activations_can_be_tapped_by_name(trained):
    names = ["tokens", "block_1_mixer", "block_1_ffn"]
    taps = keras.Model(trained.inputs, [trained.get_layer(name).output for name in names])
    for activation in taps.predict(trained.encode(tiny.make_rows()), verbose=0, batch_size=64):
        assert activation.shape == (tiny.ROWS, 8, 16)
    trained.summary(print_fn=lambda *args, **kwargs: None)


@pytest.mark.processes
def test_replicas_train_alike_compiled_or_not_on_batches_that_they_can_share():
    program = Program(pathlib.Path(__file__).with_name("two_devices.py"))
    said, steps, compiled, gauc, ahead, alike, *more = program.communicate()[0].splitlines()
    assert said == (
        "`batch_size` is the global one and must be divisible by the strategy's 2 replicas. "
        "Received: batch_size=3. The next that is: 4."
    )
    assert steps == "4"
    # Each replica compiles its half of a full batch, once, and trains as without.
    assert compiled == "4 True 2"
    assert gauc == "True", "each replica counts its own rows"
    # Labels, ids, and what tells lengths: no replicas, two, not ahead. The same weights to the bit.
    assert ahead == "True 1 0 0 0+1 0+0 0+0 0+0 0+0 0+0"
    assert alike == "True", "missing labels leave the mean over the global batch"
    places, experts, several = more
    assert several == (
        "`steps_per_execution` must be 1 under a MirroredStrategy of several replicas, where Keras "
        "3.15.1 cannot read several batches in one function. Received: steps_per_execution=2, 2 "
        "replicas. | InvalidArgumentError"  # once Keras can, it may go
    )
    # Compiled where the weights lie, by default, under `tf.device` and in a strategy's scope.
    loss = places.split()[0]
    assert places == f"{loss} 0 True {loss} 1 True {loss} 1"
    assert experts == "True True True True", "a penalty that replicas move together"
