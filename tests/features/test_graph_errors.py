"""Errors of checks in graphs and pipelines, as one sentence."""

import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.features.graph_errors import plain_errors


@pytest.fixture(scope="module")
def model():
    features = rk.FeatureSet(
        [rk.Categorical("x", num_ids=9), rk.Categorical("y", num_ids=9), rk.Timestamp("t")]
    )
    made = rk.RankMixer(features, ["click"], num_blocks=1, token_dim=8)
    made.compile()
    return made


def pipeline(clicks, weights=(1.0, 1.0), t=1_700_000_000, x=None):
    rows = {"x": [1, 2] if x is None else x, "y": [3, 4], "t": [t, t]}
    return tf.data.Dataset.from_tensor_slices((rows, {"click": clicks}, [*weights])).batch(2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            lambda: pipeline([0, 5]),
            r"^Labels of task click must .* Received: \[0 5\]$",
        ),
        (lambda: pipeline([0, 1], (1, -2)), r"^`sample_weight` must be numbers.* \[1 -2\]$"),
        (
            lambda: pipeline([0, 1], t=1_700_000_000_000),
            "^Times in column 't' do not look",
        ),
        (
            lambda: pipeline([0, 1], x=tf.constant([2**64 - 1, 1], tf.uint64)),
            "^Column x has ids beyond int64: they must be text, with dtype='string'.$",
        ),
    ],
)
def test_a_pipeline_that_fails_says_why(model, data, message):
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=message) as told:
            call(data(), verbose=0)
        assert told.value.__suppress_context__


def test_a_file_that_fails_says_where(tmp_path, model):
    path = tmp_path / "a.csv"
    path.write_text("x,y,t,click\n1,2,1700000000,0\n3,4,1700000000,7\n")
    files = rk.data.Files(path, model.features, ["click"])
    for encoded in (False, True):
        with pytest.raises(ValueError, match=r"^DataError: .*a.csv, line 3, .*'click'.*or 1\.$"):
            model.fit(files.dataset(2, encoded=encoded), verbose=0)


def test_other_errors_stay_what_they_are():
    with pytest.raises(tf.errors.OutOfRangeError, match="end of sequence"), plain_errors():
        raise tf.errors.OutOfRangeError(None, None, "end of sequence")
