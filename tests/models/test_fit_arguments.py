"""What `fit` refuses, since Keras would train or validate on something else."""

import numpy as np
import pytest

import rankup_keras as rk
from tests.models import tiny


def batches(endless=False):
    while True:
        yield tiny.make_rows(), tiny.make_labels()
        if not endless:
            return


@pytest.fixture(scope="module")
def model():
    model = tiny.make_rankmixer()
    model.compile()
    return model


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras's, at each one's end
def test_generators_are_read_once(model):
    rows, labels = tiny.make_rows(), tiny.make_labels()
    with pytest.raises(ValueError, match="`x` is a generator, which is read once"):
        model.fit(batches(), epochs=2, verbose=0)
    with pytest.raises(ValueError, match=r"`validation_data` is a generator.*`validation_steps`"):
        model.fit(rows, labels, epochs=4, validation_freq=2, validation_data=batches(), verbose=0)
    found = model.fit(batches(), validation_data=batches(), verbose=0).history
    assert len(found["val_loss"]) == 1
    found = model.fit(
        batches(endless=True),
        steps_per_epoch=1,
        epochs=2,
        validation_data=batches(endless=True),
        validation_steps=1,
        verbose=0,
    ).history
    wanted = model.evaluate(rows, labels, batch_size=len(labels["click"]), verbose=0)[0]
    np.testing.assert_allclose(found["val_loss"][1], wanted, rtol=1e-6)


def test_datasets_without_end_need_steps(model):
    data = tiny.as_dataset(tiny.make_rows(), tiny.make_labels())
    endless = data.repeat()
    for method in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match="`x` is a dataset that repeats without end"):
            method(endless, verbose=0)
    with pytest.raises(ValueError, match=r"`validation_data` is a dataset.*`validation_steps`"):
        model.fit(data, validation_data=endless, verbose=0)
    assert len(model.predict(endless, None, 0, 1)["buy"])


def test_ids_beyond_their_number_are_not_trained_as_unknown():
    features = rk.FeatureSet(
        [rk.Categorical("item", num_ids=4), rk.History("seen", of="item", max_length=2)]
    )
    model = rk.RankMixer(features, ["click"], num_blocks=1, embedding_dim=4)
    model.compile()
    rows = {"item": [0, 3, -1], "seen": [[1, 2], [], [-1]], "click": [0, 1, 0]}
    model.fit(rows, verbose=0)
    with pytest.raises(ValueError, match=r"'item' has ids that are not in \[0, 4\).*in row 1"):
        model.fit({**rows, "item": [0, 4, 4]}, verbose=0)
    with pytest.raises(ValueError, match=r"'seen' has ids.*in 1 rows, the first in row 2"):
        model.fit({**rows, "seen": [[1, 2], [], [5, -1]]}, verbose=0)
    # Where rows are scored, what is new is unknown.
    assert model.predict({**rows, "item": [0, 4, 4]}, verbose=0)["click"].shape == (3, 1)
