"""Every form that Keras trains on takes raw rows, and encoded rows are never taken for raw ones."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import rankup_keras as rk
from tests.models import tiny


class Batches(keras.utils.PyDataset):
    """Batches of raw rows; notes what Keras asks of it."""

    def __init__(self, parts, batch=16, **kwargs):
        super().__init__(**kwargs)
        self.parts, self.batch, self.epochs = parts, batch, 0

    def __len__(self):
        return tiny.ROWS // self.batch

    def __getitem__(self, index):
        at = slice(index * self.batch, (index + 1) * self.batch)
        return tuple(
            {k: v[at] for k, v in part.items()} if isinstance(part, dict) else part[at]
            for part in self.parts
        )

    def on_epoch_end(self):
        self.epochs += 1


def batches(parts, repeats=1):
    data = Batches(parts)
    return (data[index] for _ in range(repeats) for index in range(len(data)))


def epochs_as_keras_counts(epochs):
    """How often Keras says that an epoch has ended: once more, before the first."""
    x = np.zeros((tiny.ROWS, 1))
    data, plain = Batches((x, x)), keras.Sequential([keras.layers.Dense(1)])
    plain.compile(loss="mse")
    plain.fit(data, epochs=epochs, verbose=0)
    return data.epochs


WEIGHTS = np.linspace(0, 1, tiny.ROWS)


@pytest.fixture
def model():
    model = tiny.make_rankmixer()
    model.compile()
    return model


# Keras says so of every generator that ends.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_py_datasets_and_generators_train_evaluate_and_predict_as_arrays_do(model):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    wanted = model.evaluate((rows, labels, WEIGHTS), verbose=0, return_dict=True)
    direct = model.evaluate(rows, labels, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    assert direct == wanted
    encoded = model.encode(rows)
    for make in (Batches, batches, lambda parts: Batches(parts, workers=2)):
        for x in (rows, encoded):
            found = model.evaluate(make((x, labels, WEIGHTS)), verbose=0, return_dict=True)
            for name, value in wanted.items():
                # Keras (3.15.1) counts the end of a generator's data into each output's loss, as
                # if it were a batch without one.
                if make is not batches or name not in ("click_loss", "buy_loss"):
                    np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
        scores = model.predict(rows, verbose=0)
        for parts in ((rows,), (rows, labels)):
            found = model.predict(make(parts), verbose=0)
            np.testing.assert_allclose(found["click"], scores["click"], atol=1e-6)
    data = Batches((({**rows, **labels}),))
    history = model.fit(data, validation_data=Batches((rows, labels)), epochs=2, verbose=0).history
    assert len(history["val_loss"]) == 2
    assert data.epochs == epochs_as_keras_counts(2)
    endless = batches((rows, labels), repeats=9)
    history = model.fit(endless, epochs=2, steps_per_epoch=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_wrong_batches_are_refused_as_wrong_rows_are(model):
    rows = tiny.make_rows()
    with pytest.raises(ValueError, match=r"Tasks \['click', 'buy'\] have no labels"):
        model.fit(Batches((rows,)), verbose=0)
    with pytest.raises(ValueError, match=r"Columns are missing: \['user'\]"):
        model.predict(Batches(({k: v for k, v in rows.items() if k != "user"},)), verbose=0)


def test_single_batches(model):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    frame = pd.DataFrame({name: list(column) for name, column in {**rows, **labels}.items()})
    scores = model.predict(rows, verbose=0)
    wanted = model.evaluate(rows, labels, batch_size=tiny.ROWS, verbose=0, return_dict=True)
    for x in (rows, frame, model.encode(rows)):
        np.testing.assert_allclose(model.predict_on_batch(x)["buy"], scores["buy"], atol=1e-6)
        y = None if x is frame else labels
        found = model.test_on_batch(x, y, return_dict=True)
        np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-5)
    none = {name: column[:0] for name, column in rows.items()}
    assert model.predict_on_batch(none)["click"].shape == (0, 1)
    twin = tiny.make_rankmixer()
    twin.compile()
    model.fit(rows, labels, sample_weight=WEIGHTS, batch_size=tiny.ROWS, shuffle=False, verbose=0)
    twin.train_on_batch(rows, labels, pd.Series(WEIGHTS))
    for ours, theirs in zip(model.weights, twin.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_weights_of_either_shape_follow_each_other(model):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    found = [model.test_on_batch(rows, labels, w) for w in (WEIGHTS, WEIGHTS[:, None], WEIGHTS)]
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-6)


def test_labels_of_another_length_than_the_rows_are_refused(model):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    labels["buy"] = labels["buy"][1:]
    for method in (model.fit, model.train_on_batch, model.test_on_batch, model.evaluate):
        with pytest.raises(ValueError, match="Received 63 labels of task 'buy' for 64 rows"):
            method(rows, labels)


def test_labels_and_weights_in_another_order_than_the_rows_are_refused(model):
    rows = pd.DataFrame({name: list(column) for name, column in tiny.make_rows().items()})
    labels = pd.DataFrame(tiny.make_labels())
    weights = pd.Series(np.ones(tiny.ROWS))[::-1]
    with pytest.raises(ValueError, match=r"index of the labels .* `labels.loc\[rows.index\]`"):
        model.fit(rows[::-1], dict(labels), verbose=0)
    with pytest.raises(ValueError, match="index of the weights is that of the rows in another"):
        model.test_on_batch(rows, dict(labels), weights)
    # Numbered anew on one side: by their places.
    model.test_on_batch(rows[8:], dict(labels[8:].reset_index(drop=True)))


def test_a_share_to_validate_on_is_below_1(model):
    with pytest.raises(ValueError, match=r"less than 1. Received: validation_split=20"):
        model.fit(tiny.make_rows(), tiny.make_labels(), validation_split=20)


def test_a_direct_call_takes_encoded_rows(model):
    rows = tiny.make_rows()
    for raw in (rows, pd.DataFrame({"age": rows["age"]})):
        with pytest.raises(ValueError, match=r"a dict of \['encoded_ids.*`model\(model.encode"):
            model(raw)
    assert model(model.encode(rows))["click"].shape == (tiny.ROWS, 1)


def test_rows_are_encoded_once_per_batch(model, monkeypatch):
    counts = []
    encode = model.features.encode
    monkeypatch.setattr(model.features, "encode", lambda x: counts.append(1) or encode(x))
    rows, labels = tiny.make_rows(), tiny.make_labels()
    model.train_on_batch(rows, labels)
    model.test_on_batch(rows, labels)
    model.predict_on_batch(rows)
    assert len(counts) == 3
    # In `fit` the validation rows once, not once per epoch.
    model.fit(rows, labels, validation_data=(rows, labels), epochs=3, verbose=0)
    assert len(counts) == 5


def one_task():
    keras.utils.set_random_seed(1)
    model = rk.RankMixer(tiny.make_features(), "click", 8, 4, 1, 1, embedding_dim=2)
    model.compile("sgd")
    return model


# Keras says so of every generator that ends.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
def test_class_weights_are_sample_weights():
    rows, labels = tiny.make_rows(), tiny.make_labels()["click"]
    weights = np.where(labels == 1, 5.0, 0.5)
    settings = {"shuffle": False, "verbose": 0}

    def loss(*args, **kwargs):
        return one_task().fit(*args, **settings, **kwargs).history["loss"][0]

    wanted = loss(rows, labels, batch_size=16, sample_weight=weights)
    classes = {0: 0.5, 1: 5.0}
    found = [
        loss(rows, labels, batch_size=16, class_weight=classes),
        loss(tiny.as_dataset(rows, labels), class_weight=classes),
        loss(Batches((rows, labels)), class_weight=classes),
        loss(batches((rows, labels)), class_weight=classes),
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    ours, theirs = one_task(), one_task()
    np.testing.assert_allclose(
        ours.train_on_batch(rows, labels, class_weight=classes),
        theirs.train_on_batch(rows, labels, weights),
        rtol=1e-5,
    )
    with pytest.raises(ValueError, match="`sample_weight` or `class_weight`, not both"):
        loss(rows, labels, sample_weight=weights, class_weight=classes)


def test_class_weights_do_not_weigh_a_share_that_is_for_validation():
    rows, labels = tiny.make_rows(), tiny.make_labels()["click"]
    classes, split = {1: 5.0}, {"validation_split": 0.25, "shuffle": False, "verbose": 0}
    found = one_task().fit(rows, labels, class_weight=classes, **split).history
    first = len(labels) * 3 // 4
    parts = [
        ({name: column[part] for name, column in rows.items()}, labels[part])
        for part in (slice(first), slice(first, None))
    ]
    weights = np.where(parts[0][1] == 1, 5.0, 1.0)
    wanted = one_task().fit(
        *parts[0], sample_weight=weights, validation_data=parts[1], shuffle=False, verbose=0
    )
    for name, values in wanted.history.items():
        assert found[name] == pytest.approx(values, rel=1e-5), name
    with pytest.raises(ValueError, match="needs rows in memory"):
        one_task().fit(tiny.as_dataset(rows, labels), class_weight=classes, **split)


def test_class_weights_with_several_tasks_are_refused(model):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    for data in ((rows, labels), (tiny.as_dataset(rows, labels),)):
        with pytest.raises(ValueError, match=r"one task.*Use `sample_weight`"):
            model.fit(*data, class_weight={1: 2.0}, verbose=0)


def test_numbers_never_pass_for_encoded_rows():
    rows = pd.DataFrame({"price": [50.0, 60.0, 20.0], "age": [30.0, 20.0, 1.0]})
    features = [rk.Numeric("price", indicator=False), rk.Numeric("age", indicator=False)]
    model = rk.RankMixer(rk.FeatureSet(features).adapt(rows), ["click"], embedding_dim=4)
    for raw in (rows, rows.to_dict("list"), rows.to_numpy("float32")):
        # The first is this package's, the other Keras's of a dict without the inputs.
        with pytest.raises(ValueError, match=r"encoded rows.*model\.encode|Missing data for input"):
            model(raw)
    for method in (model.predict, model.predict_on_batch):
        with pytest.raises(TypeError, match="Raw rows must be"):
            method(rows.to_numpy("float32"))
    model(model.encode(rows))


@pytest.mark.parametrize(
    "change",
    [
        lambda ids: ids.astype(np.int64),
        lambda ids: ids[:, :-1],
        lambda ids: ids[:, 0],
        lambda ids: ids.tolist(),
        tf.strings.as_string,
    ],
    ids=["int64", "too_narrow", "one_axis", "list", "strings"],
)
def test_encoded_names_with_other_dtypes_or_shapes_are_refused(model, change):
    encoded = model.encode(tiny.make_rows())
    encoded["encoded_ids"] = change(encoded["encoded_ids"])
    with pytest.raises(TypeError, match=r"column 'encoded_ids' must be int32 of shape \(rows, 8\)"):
        model.predict(encoded, verbose=0)


@pytest.mark.parametrize("call", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("size", [0, 16.0])
def test_batches_of_no_number_of_rows_are_refused(model, call, size):
    with pytest.raises(ValueError, match=rf"`batch_size` must be a positive.*batch_size={size}"):
        getattr(model, call)({**tiny.make_rows(), **tiny.make_labels()}, batch_size=size)


def test_labels_in_another_order_than_series_of_the_rows_are_refused(model):
    rows = {name: pd.Series(list(column)) for name, column in tiny.make_rows().items()}
    labels = {name: pd.Series(column) for name, column in tiny.make_labels().items()}
    with pytest.raises(ValueError, match="index of the labels is that of the rows in another"):
        model.fit(rows, {**labels, "buy": labels["buy"][::-1]})


def test_no_rows_are_refused(model):
    rows = {name: column[:0] for name, column in tiny.make_rows().items()}
    labels = {name: column[:0] for name, column in tiny.make_labels().items()}
    for call in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match="There are no rows to train on or to evaluate"):
            call(rows, labels)


def test_weights_of_some_tasks_are_refused(model):
    with pytest.raises(ValueError, match=r"one for each task, \['click', 'buy'\]. Received.*click"):
        model.fit(tiny.make_rows(), tiny.make_labels(), sample_weight={"click": WEIGHTS})
