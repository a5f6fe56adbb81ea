import keras
import numpy as np
import pytest

import rankup_keras as rk
from rankup_keras.compat.optimizers import slots_of
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.optimizers.split import part_of

ROWS = {
    "ad": [f"a{i % 7}" for i in range(24)],
    "user": [f"u{i % 5}" for i in range(24)],
    "click": [i % 3 == 0 for i in range(24)],
}
ROWS["click"] = np.float32(ROWS["click"])


class Seen(keras.callbacks.Callback):
    """Weights and slots at both ends of every epoch."""

    def __init__(self):
        super().__init__()
        self.begin, self.end = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begin.append(state(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.end.append(state(self.model))


def tables_of(model):
    return [v for v in model.trainable_variables if getattr(v, "row_sparse", False)]


def state(model):
    tables = {id(v) for v in tables_of(model)}
    slots = []
    for v in tables_of(model):
        part = part_of(model.optimizer, v)
        slots.append({k: np.array(s) for k, s in slots_of(part, v).items()} if part.built else {})
    return {
        "tables": [np.array(v) for v in tables_of(model)],
        "dense": [np.array(v) for v in model.trainable_variables if id(v) not in tables],
        "slots": slots,
    }


def make(optimizer=None):
    keras.utils.set_random_seed(3)
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(ROWS)
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(4,))
    model.compile() if optimizer is None else model.compile(optimizer)
    return model


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: None,
        lambda: rk.optimizers.Split(rk.optimizers.Adagrad(0.1), "adam"),
        lambda: rk.optimizers.Split(rk.optimizers.Ftrl(0.1), "adam"),
        lambda: rk.optimizers.Split(rk.optimizers.RowWiseAdagrad(0.1), "adam"),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1)),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        lambda: keras.optimizers.Adafactor(0.1),
    ],
    ids=["default", "adagrad", "ftrl", "row_wise_adagrad", "scaled_adam", "sgd", "adafactor"],
)
def test_tables_and_slots_begin_anew_and_the_dense_part_goes_on(optimizer):
    model, seen = make(optimizer()), Seen()
    model.optimizer.build(model.trainable_variables)
    model.fit(ROWS, batch_size=8, epochs=3, callbacks=[rk.callbacks.FreshTables(), seen], verbose=0)
    first = seen.begin[0]
    for epoch in (1, 2):
        begin, before = seen.begin[epoch], seen.end[epoch - 1]
        for now, then, trained in zip(
            begin["tables"], first["tables"], before["tables"], strict=True
        ):
            np.testing.assert_array_equal(now, then)
            assert (now != trained).any()
        for now, then in zip(begin["slots"], first["slots"], strict=True):
            assert now.keys() == then.keys()
            for name in now:
                np.testing.assert_array_equal(now[name], then[name], err_msg=name)
        for now, trained in zip(begin["dense"], before["dense"], strict=True):
            np.testing.assert_array_equal(now, trained)
    assert any((a != b).any() for a, b in zip(first["dense"], seen.end[2]["dense"], strict=True))


def worth(*values):
    """A metric that has these values, an epoch each."""

    def tell(epoch, logs):
        logs["worth"] = values[epoch]

    return keras.callbacks.LambdaCallback(on_epoch_end=tell)


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_from_the_first_epoch_that_is_worse_on_from_the_best_one(mode, sign):
    model, seen = make(), Seen()
    metric = worth(sign, 3 * sign, 2 * sign, 5 * sign, 0)
    fresh = rk.callbacks.FreshTables("worth", mode)
    model.fit(ROWS, batch_size=8, epochs=5, callbacks=[metric, fresh, seen], verbose=0)
    for epoch, dense_of in enumerate([None, 0, 1, 1, 3]):
        begin = seen.begin[epoch]
        if dense_of is not None:
            for now, then in zip(begin["dense"], seen.end[dense_of]["dense"], strict=True):
                np.testing.assert_array_equal(now, then)
        ordinary = None if epoch > 2 else seen.end[epoch - 1]["tables"]
        wanted = seen.begin[0]["tables"] if epoch in (0, 3, 4) else ordinary
        for now, then in zip(begin["tables"], wanted, strict=True):
            np.testing.assert_array_equal(now, then)


def test_what_is_monitored_must_be_there():
    with pytest.raises(ValueError, match=r"`mode` must be .* Received: mode='up'"):
        rk.callbacks.FreshTables("val_auc", "up")
    fresh = rk.callbacks.FreshTables("val_auc")
    with pytest.raises(ValueError, match=r"one of the metrics \['auc', .*monitor='val_auc'"):
        make().fit(ROWS, callbacks=[fresh], verbose=0)


@pytest.mark.parametrize(("monitor", "every"), [(None, "epoch"), (None, 2), ("worth", "epoch")])
def test_resumed_training_is_that_of_one_run(tmp_path, monitor, every):
    def train(folder, stop_after=-1):
        def stop(batch, logs=None):
            if int(model.optimizer.iterations) == stop_after:
                raise KeyboardInterrupt

        model = make()
        killed = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
        inner = [worth(2, 1, 3), rk.callbacks.FreshTables(monitor)]
        resume = rk.callbacks.Resume(folder, inner, every=every)
        model.fit(ROWS, batch_size=8, epochs=3, callbacks=[resume, killed], verbose=0)
        return state(model)

    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", 6 if monitor is None else 8)  # of 9, in the second, third epoch
    resumed = train(tmp_path / "killed")
    for kind in ("tables", "dense"):
        for a, b in zip(whole[kind], resumed[kind], strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_frozen_table_stays_and_none_at_all_is_refused():
    model = make()
    layer = next(x for x in model.layers if isinstance(x, FieldEmbedding))
    layer.trainable = False
    model.compile()
    with pytest.raises(ValueError, match="no trainable `FieldEmbedding`"):
        model.fit(ROWS, epochs=2, callbacks=[rk.callbacks.FreshTables()], verbose=0)
