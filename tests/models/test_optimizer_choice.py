"""Without a word from the user tables are trained by rows; dense passes over large ones warn."""

import warnings

import keras
import numpy as np
import pytest

import rankup_keras as rk
from tests.models import tiny


def with_rows(rows):
    features = rk.FeatureSet(
        [rk.Categorical("user", hash_buckets=rows - 4), rk.Categorical("ad", hash_buckets=2)]
    )
    return rk.DLRM(features, ["click"], embedding_dim=2, top_units=(4,))


def test_default_updates_the_rows_of_the_batch_only():
    model = with_rows(50)
    model.compile()
    assert isinstance(model.optimizer, rk.optimizers.Split)
    assert isinstance(model.optimizer.embeddings, rk.optimizers.LazyAdam)
    table = next(v for v in model.trainable_variables if getattr(v, "row_sparse", False))
    before = table.numpy()
    for _ in range(3):
        model.train_on_batch({"user": ["a", "b"], "ad": ["x", "x"]}, [1, 0])
    assert (np.abs(table.numpy() - before).max(axis=1) > 0).sum() <= 3


def test_callbacks_move_both_parts_of_the_default():
    model = tiny.make_rankmixer()
    model.compile()
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.0)
    before = model.get_weights()
    model.fit(tiny.make_rows(), tiny.make_labels(), callbacks=[scheduler], verbose=0)
    for ours, theirs in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_without_tables_gets_adam():
    features = rk.FeatureSet([rk.Numeric("age", normalize=None)])
    model = rk.RankMixer(features, ["click"], embedding_dim=2)
    model.compile()
    assert type(model.optimizer) is rk.optimizers.Adam


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", keras.optimizers.SGD(momentum=0.9)])
def test_dense_passes_over_large_tables_warn(optimizer):
    with pytest.warns(
        UserWarning, match=r"all 200,000 rows.*\(2 MB.*Split` updates the rows of the batch"
    ) as said:
        with_rows(200_000).compile(optimizer)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("rows", "optimizer"),
    [
        (1000, "adam"),
        (200_000, "sgd"),
        (200_000, None),
        (200_000, rk.optimizers.Adagrad(0.1)),
        (200_000, rk.optimizers.Split("ftrl", "rmsprop")),
    ],
)
def test_no_warning_without_a_reason(rows, optimizer):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with_rows(rows).compile(optimizer)
    assert not [w for w in said if not issubclass(w.category, DeprecationWarning)]


@pytest.mark.parametrize("name", ["lazy_adam", "row_wise_adagrad", "split"])
def test_names_that_only_split_knows_are_refused(name):
    with pytest.raises(ValueError, match=r"Split\('\w+', 'adam'\)` trains tables"):
        tiny.make_rankmixer().compile(name)
