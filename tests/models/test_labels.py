"""Labels are read alike from arrays and from the elements of datasets."""

import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.models.labels import Labels, check_lengths, check_name, checked_weights

TWO = Labels([rk.Task("click"), rk.Task("buy", label="bought")])
ONE = Labels([rk.Task("click")])


def in_pipeline(read, *tensors):
    """What a function gives inside of a `tf.data` pipeline."""
    tensors = tuple(tf.constant(tensor) for tensor in tensors)
    return next(iter(tf.data.Dataset.from_tensors(tensors).map(read)))


def test_arrays_and_datasets_give_the_same():
    click, bought = np.array([1, 0, 1]), np.array([0.0, 0.25, 1.0])
    columns = {"click": click, "bought": bought, "age": np.ones(3)}
    found = [TWO.read(None, columns), TWO.read({"buy": bought, "click": click}, {})]
    found.append(
        in_pipeline(
            lambda click, bought: TWO.read(None, {"click": click, "bought": bought}), click, bought
        )
    )
    for labels in found:
        assert list(labels) == ["click", "buy"]
        np.testing.assert_array_equal(labels["click"], [[1], [0], [1]])
        np.testing.assert_array_equal(labels["buy"], [[0], [0.25], [1]])
        assert all(np.asarray(column).dtype == np.float32 for column in labels.values())


def test_a_rule_that_no_label_fits_is_told():
    """Misspelled, it would train a constant."""
    labels = Labels([rk.Task("seen", label="end", positive="finish")])
    ends = ["abandoned", "finished"] * 500
    with pytest.warns(UserWarning, match="positive='finish'.* such as 'abandoned', 'finished'"):
        labels.read(None, {"end": ends})
    assert not labels.read(None, {"end": ends[:998]})["seen"].any()  # few may have none


def test_weights_of_classes():
    click = np.array([1, 0, 0, 1])
    weights = ONE.class_weights(ONE.read(click, {}), {1: 5.0, 0: 0.5})
    np.testing.assert_array_equal(weights, [5, 0.5, 0.5, 5])
    found = in_pipeline(lambda click: ONE.class_weights(ONE.read(click, {}), {1: 3}), click)
    np.testing.assert_array_equal(found, [3, 1, 1, 3])


def test_weights_of_classes_need_one_task_and_its_classes():
    labels = {"click": np.ones((2, 1)), "buy": np.ones((2, 1))}
    with pytest.raises(ValueError, match=r"one task; this one has \['click', 'buy'\].*sample_weig"):
        TWO.class_weights(labels, {1: 2.0})
    with pytest.raises(ValueError, match=r"weights, 0 or more\. Received: {2: 1.0}"):
        ONE.class_weights({"click": np.ones((2, 1))}, {2: 1.0})
    for given in ({1: -2.0}, {1: np.nan}, "balanced"):
        with pytest.raises(ValueError, match="`class_weight` must be a dict"):
            ONE.class_weights({"click": np.ones((2, 1))}, given)


def test_weights_by_task_are_those_of_all_tasks():
    assert TWO.weights({"click": [1.0], "buy": [0.0]})["buy"].tolist() == [0]
    with pytest.raises(ValueError, match=r"each task, \['click', 'buy'\]\. Received.*\['click'\]"):
        TWO.weights({"click": [1.0]})


def test_weights_of_rows_have_one_axis():
    weights = [1.0, 0.0, 2.5]
    for given in (weights, np.array(weights), np.array(weights)[:, None], tf.constant(weights)):
        found = [checked_weights(given), checked_weights({"buy": given})["buy"]]
        found.append(in_pipeline(checked_weights, given))
        for one in found:
            assert np.asarray(one).dtype == np.float32
            np.testing.assert_array_equal(one, weights)


@pytest.mark.parametrize("shape", [(3, 2), ()])
def test_weights_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"must have shape \(rows,\) or \(rows, 1\)"):
        checked_weights(np.ones(shape))
    with pytest.raises(ValueError, match=r"must have shape \(rows,\) or \(rows, 1\)"):
        in_pipeline(checked_weights, np.ones(shape))


def test_every_row_has_one_label_and_one_weight():
    labels = {"click": np.ones((3, 1)), "buy": np.ones((2, 1))}
    check_lengths(3, {"click": labels["click"]}, np.ones(3))
    with pytest.raises(ValueError, match="Received 2 labels of task 'buy', 4 weights for 3 rows"):
        check_lengths(3, labels, np.ones(4))
    with pytest.raises(ValueError, match="Received 1 weights of task 'click' for 3 rows"):
        check_lengths(3, {}, {"click": np.ones(1)})


@pytest.mark.parametrize("kind", ["datetime64[s]", "timedelta64[s]", complex])
def test_times_and_complex_numbers_are_no_labels_and_no_weights(kind):
    wrong = np.array([0, 1]).astype(kind)
    with pytest.raises(TypeError, match="Labels of task 'click' must be numbers"):
        ONE.read(wrong, {})
    with pytest.raises(TypeError, match="`sample_weight` must be numbers"):
        checked_weights(wrong)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_weights_are_numbers_from_0(wrong):
    weights = np.array([1.0, 0.0, wrong])
    np.testing.assert_array_equal(checked_weights(weights[:2]), [1, 0])
    with pytest.raises(
        ValueError, match=rf"`sample_weight` must be numbers.*1 others.*{wrong} in row 2"
    ):
        checked_weights(weights)
    with pytest.raises(ValueError, match="`sample_weight` of task buy must be"):
        checked_weights({"click": weights[:2], "buy": weights})
    np.testing.assert_array_equal(in_pipeline(checked_weights, weights[:2]), [1, 0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="`sample_weight` must be numbers"):
        in_pipeline(checked_weights, weights)
    with pytest.raises(TypeError, match="`sample_weight` must be numbers"):
        checked_weights(["a"])


def test_what_is_masked_is_missing():
    column = np.ma.masked_array([1, 0, 1], [False, False, True])
    with pytest.raises(ValueError, match="1 others, such as nan"):
        ONE.read(column, {})
    skipping = Labels([rk.Task("click", missing_labels="skip")])
    assert np.isnan(skipping.read(column, {})["click"]).tolist() == [[False], [False], [True]]
    with pytest.raises(ValueError, match="such as nan in row 2"):
        checked_weights(column)


def test_a_name_that_no_operation_can_have_is_refused():
    for name in ("my model", "模型", "_x"):
        with pytest.raises(ValueError, match=f"must be of letters .*Received: name='{name}'"):
            check_name(name)
    for name in (None, "rank-up_2.b"):
        check_name(name)
