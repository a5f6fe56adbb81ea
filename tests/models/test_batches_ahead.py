"""Batches read and placed ahead of the step: when, what an end or an error does, same results."""

import gc
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.models import compiled_steps
from rankup_keras.models.batches_ahead import AHEAD, BatchesAhead, ReadAhead
from tests.models.test_compiled_region import BATCH, make_model, make_rows


def wait_until(holds):
    end = time.monotonic() + 20
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    assert holds()


def test_a_thread_reads_ahead_of_who_asks():
    read = []
    before = threading.active_count()
    batches = ReadAhead(lambda: read.append(0) or len(read), None)
    assert not read  # an epoch that nobody begins reads nothing
    for number in (1, 2, 3):
        assert next(batches) == number
        wait_until(lambda number=number: len(read) == number + AHEAD)
    del batches
    gc.collect()
    assert threading.active_count() == before


def test_ends_and_errors_come_where_they_are():
    data = tf.data.Dataset.from_tensor_slices([1.0, 0.0, 2.0]).map(
        lambda x: tf.debugging.check_numerics(1 / x, "bad")
    )
    batches = iter(BatchesAhead(data, ["/cpu:0"]))
    assert next(batches) == 1.0
    with pytest.raises(tf.errors.InvalidArgumentError, match="bad"):
        next(batches)
    assert next(batches) == 0.5
    for _ in range(2):
        with pytest.raises(tf.errors.OutOfRangeError):
            next(batches)


def as_dataset(model, rows):
    columns = dict(rows)
    labels = {name: np.float32(columns.pop(name))[:, None] for name in ("click", "buy")}
    encoded = {name: np.asarray(x) for name, x in model.encode(columns).items()}
    return tf.data.Dataset.from_tensor_slices((encoded, labels)).batch(BATCH)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # as of a length not known
def test_results_are_those_of_batches_that_come_late(monkeypatch):
    """Arrays and datasets, a last batch that is smaller, training, validation and scores."""
    found, traces, placed = [], [], []

    def recorded(*arguments):
        placed.append(model)
        return BatchesAhead(*arguments)

    monkeypatch.setattr(compiled_steps, "BatchesAhead", recorded)
    for ahead in (False, True):
        model, rows = make_model(False), make_rows()
        model.compile(jit_compile=False, prefetch_to_device=ahead)
        step = model.train_step
        monkeypatch.setattr(model, "train_step", lambda x, step=step: traces.append(0) or step(x))
        data = as_dataset(model, rows)
        # A dataset that does not know its end.
        unknown = data.filter(lambda *_: True)
        kwargs = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
        logs = model.fit(rows, epochs=2, validation_data=data, **kwargs).history
        more = model.fit(unknown, verbose=0).history
        scores = [model.predict(x, verbose=0)["buy"] for x in (data.map(lambda x, _: x),)]
        scores.append(model.predict(rows, batch_size=BATCH, verbose=0)["buy"])
        found.append([logs, more, model.evaluate(data, verbose=0), scores, model.get_weights()])
        assert model.get_compile_config()["prefetch_to_device"] is ahead
    (*late, late_scores, late_weights), (*early, early_scores, early_weights) = found
    assert late == early
    for one, other in zip(late_scores + late_weights, early_scores + early_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(placed) == 6  # of each fit, the validation within, each predict, and evaluate
    assert set(placed) == {model}
    assert len(traces) == 2  # once for each model, whatever the sizes


def test_another_answer_is_refused():
    with pytest.raises(ValueError, match="prefetch_to_device='gpu'"):
        make_model(False).compile(prefetch_to_device="gpu")
