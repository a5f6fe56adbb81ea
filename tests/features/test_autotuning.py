"""tf.data's autotuner holds up the end of every epoch; it is off unless asked for."""

import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.data import Files, Rows


def batches(folder):
    yield Rows({"city": np.array(["a", "b"])}, {"click": np.array([0.0, 1.0])}).dataset(2)
    path = folder / "rows.csv"
    path.write_text("city,click\na,0\nb,1\n")
    features = rk.FeatureSet([rk.Categorical("city", vocabulary=["a"])])
    files = Files(path, features, [rk.Task("click")])
    yield files.dataset(2)
    yield features.encode(tf.data.Dataset.from_tensors({"city": tf.constant(["a", "b"])}))


def test_every_pipeline_runs_without_it(tmp_path):
    for dataset in batches(tmp_path):
        assert dataset.options().autotune.enabled is False
        assert len(list(dataset)) == 1


@pytest.mark.parametrize("wanted", [True, False])
def test_a_users_choice_stands(wanted):
    options = tf.data.Options()
    options.autotune.enabled = wanted
    given = tf.data.Dataset.from_tensors({"city": tf.constant(["a"])}).with_options(options)
    features = rk.FeatureSet([rk.Categorical("city", vocabulary=["a"])])
    assert features.encode(given).options().autotune.enabled is wanted
