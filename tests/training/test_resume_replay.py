"""Which calls of a train function are skipped; whole trainings in `callbacks/test_resume.py`."""

import types

import pytest

from rankup_keras.training.resume_replay import Replay


class Model:
    """What `Replay` needs of a Keras model."""

    steps_per_execution = 1
    _distribute_strategy = "made before fit"  # its metrics are built then

    def __init__(self):
        self.trained = []
        self.own = self.train_function = lambda iterator: self.trained.append(next(iterator))

    def get_metrics_result(self):
        return {"loss": 1.0}


def run(replay, model, epochs=2, batches=3):
    for epoch in range(epochs):
        replay.begin_epoch(epoch)
        iterator = iter([(epoch, batch) for batch in range(batches)])
        for _ in range(batches):
            model.train_function(iterator)
        replay.end_epoch()
    replay.stop()


@pytest.mark.parametrize(("epoch", "calls"), [(0, 0), (0, 2), (1, 0), (1, 2)])
def test_what_follows_the_position_is_trained(epoch, calls):
    model = Model()
    replay, restored = Replay(model), []
    replay.start(epoch, calls, [3] * epoch)
    replay.before_first_batch = lambda: restored.append(list(model.trained))
    run(replay, model)
    everything = [(e, b) for e in range(2) for b in range(3)]
    assert model.trained == everything[epoch * 3 + calls :]
    assert restored == ([[]] if calls else [])
    assert replay.calls_by_epoch == [3, 3]
    assert model.train_function is model.own
    assert isinstance(model.get_metrics_result, types.MethodType)


def test_data_that_ends_early_is_refused():
    model = Model()
    replay = Replay(model)
    replay.start(0, 3, [])
    replay.begin_epoch(0)
    short = iter([1, 2])
    model.train_function(short)
    model.train_function(short)
    with pytest.raises(ValueError, match="data ended after 2 batches of epoch 0"):
        model.train_function(short)
