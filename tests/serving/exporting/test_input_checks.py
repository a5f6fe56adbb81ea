import pytest
import tensorflow as tf

from rankup_keras.serving.exporting.input_checks import (
    check_columns,
    check_one_row,
    check_vector,
)

SPEC = {
    "age": tf.TensorSpec((None,), tf.float32),
    "tags": tf.TensorSpec((None, None), tf.string),
    "vector": tf.TensorSpec((None, 2), tf.float32),
}


def columns(ages=3, tags=3, vector=(3, 2)):
    return {
        "age": tf.zeros(ages),
        "tags": tf.fill((tags, 1), "a"),
        "vector": tf.zeros(vector),
        "other": tf.zeros(()),
    }


def test_good_columns_pass_with_their_shapes():
    got = check_columns(columns(), SPEC)
    assert list(got) == sorted(SPEC)
    assert got["vector"].shape == (3, 2)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"vector": (3, 5)}, "check_vector"),
        ({"vector": (3,)}, "check_vector"),
        ({"ages": (3, 1)}, "check_age"),
        ({"tags": 2}, r"rows as age, which has\] \[3\] .*columns:\] \[tags\]"),
    ],
)
def test_wrong_shapes_are_found_at_run_time(wrong, match):
    run = tf.function(
        lambda fed: check_columns(fed, SPEC),
        input_signature=[{n: tf.TensorSpec(None, v.dtype) for n, v in columns().items()}],
        autograph=False,
    )
    run(columns())
    with pytest.raises(tf.errors.InvalidArgumentError, match=match):
        run(columns(**wrong))


def test_one_row():
    assert set(check_one_row({"age": tf.zeros(1)}, "the user")) == {"age"}
    with pytest.raises(tf.errors.InvalidArgumentError, match="the user must have exactly one row"):
        check_one_row({"age": tf.zeros(2)}, "the user")


def test_a_vector():
    assert check_vector(tf.constant(["a"])).shape == (1,)
    with pytest.raises(tf.errors.InvalidArgumentError):
        check_vector(tf.constant([["a"]]))
