"""Models in the scope of a strategy that passes for a TPU's: built, trained, brought off and in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import rankup_keras as rk
from rankup_keras.distribution.tpu.tpu_field_embedding import TPUFieldEmbedding
from rankup_keras.distribution.tpu.tpu_tables import TPUTables
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.serving import export, load_session
from tests.helpers.tpu_stand_in import FEATURES, StandInSparseCores, play_tpu

BATCH = 8

# TensorFlow's stacker itself warns by a deprecated call when stacking is off.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' function:DeprecationWarning")


def make_features():
    return rk.FeatureSet(
        [
            rk.Categorical("user", num_ids=6, side="user"),
            rk.Categorical("item", hash_buckets=9, num_hashes=2),
            rk.Categorical("tags", vocabulary=["a", "b"], max_length=2, combiner="sqrtn"),
            rk.History("clicks", of="item", max_length=3),
        ]
    )


def make_rows(seed=0, count=5 * BATCH):
    rng = np.random.default_rng(seed)
    return {
        "user": rng.integers(-1, 6, count),
        "item": rng.choice(["x", "y", "z", ""], count),
        "tags": rng.choice(["a", "b", "c", ""], (count, 2)),
        "clicks": rng.choice(["x", "y", ""], (count, 4)),
        "click": rng.integers(0, 2, count).astype("float32"),
    }


def dataset(rows=None, drop=True):
    columns = make_rows() if rows is None else rows
    return tf.data.Dataset.from_tensor_slices(columns).batch(BATCH, drop_remainder=drop)


def make_model(model=rk.RankUp, **settings):
    if model is rk.RankUp:
        settings = {"token_dim": 16, "num_blocks": 1, "embedding_dropout": 0.0} | settings
    keras.utils.set_random_seed(3)
    return model(make_features(), ["click"], embedding_dim=4, **settings)


def split(**settings):
    return rk.optimizers.Split(rk.optimizers.Adagrad(0.3), keras.optimizers.SGD(0.05), **settings)


def tables_layer(model):
    return model.get_layer("embeddings")


def test_one_program_gives_each_strategy_its_tables(monkeypatch):
    with TPUTables(BATCH):
        assert type(tables_layer(make_model())) is FieldEmbedding
        with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
            assert type(tables_layer(make_model())) is FieldEmbedding
    with play_tpu(monkeypatch).scope(), TPUTables(BATCH):
        model = make_model()
    layer = tables_layer(model)
    assert type(layer) is TPUFieldEmbedding
    assert layer.on_tpu
    assert not [w for w in model.weights if "embeddings" in w.path and w.shape != (1,)]


@pytest.mark.parametrize("kind", [rk.RankUp, rk.RankMixer, rk.RankElastor, rk.DLRM, rk.DCNv2])
def test_every_model_predicts_and_trains_on_it_as_off_it(monkeypatch, kind):
    plain = make_model(kind)
    plain.compile(split())
    rows = dataset()
    strategy, optimizer = play_tpu(monkeypatch), split()
    with strategy.scope(), TPUTables(BATCH, optimizer):
        model = make_model(kind)
        model.compile(optimizer)
    assert model.jit_compile is False
    rk.models.copy_weights(plain, model)
    wanted = plain.predict(rows, verbose=0)["click"]
    np.testing.assert_allclose(model.predict(rows, verbose=0)["click"], wanted, atol=1e-6)
    for trained in (plain, model):
        trained.fit(rows, epochs=3, verbose=0)
    wanted = plain.predict(rows, verbose=0)["click"]
    np.testing.assert_allclose(model.predict(rows, verbose=0)["click"], wanted, atol=2e-5)
    with strategy.scope():
        found = tables_layer(model).get_tables()
    for name, table in tables_layer(plain).get_tables().items():
        np.testing.assert_allclose(found[name], table, atol=2e-5, err_msg=name)
    scored = model.evaluate(rows, verbose=0, return_dict=True)
    assert scored["loss"] == pytest.approx(
        plain.evaluate(rows, verbose=0, return_dict=True)["loss"], abs=1e-4
    )


@pytest.fixture
def trained(monkeypatch):
    strategy, optimizer = play_tpu(monkeypatch), split()
    with strategy.scope(), TPUTables(BATCH, optimizer):
        model = make_model()
        model.compile(optimizer)
    model.fit(dataset(), epochs=2, verbose=0)
    return strategy, model


def test_trained_tables_come_off_for_export(trained, tmp_path):
    _, model = trained
    rows = make_rows()
    wanted = model.predict(dataset(), verbose=0)["click"]
    with pytest.raises(ValueError, match=r"tables on a TPU.*copy_to_host\(model\).*'embeddings'"):
        export(model, tmp_path / "ranker")
    plain = rk.models.copy_to_host(model)
    assert type(tables_layer(plain)) is FieldEmbedding
    assert plain.features is model.features
    np.testing.assert_allclose(plain.predict(rows, verbose=0)["click"], wanted, atol=1e-6)
    columns = {name: values for name, values in rows.items() if name != "click"}
    place = rk.export(plain, tmp_path / "ranker", warmup=columns, batch_sizes=(1,))
    with load_session(place) as session:
        np.testing.assert_allclose(session.run(columns)["click"], wanted[:, 0], atol=1e-6)


def test_files_load_off_the_tpu_and_on_it(trained, tmp_path):
    strategy, model = trained
    wanted = model.predict(dataset(), verbose=0)["click"]
    with strategy.scope():
        model.save(tmp_path / "tpu.keras")
        model.save_weights(tmp_path / "tpu.weights.h5")
    plain = keras.saving.load_model(tmp_path / "tpu.keras", compile=False)
    assert type(tables_layer(plain)) is FieldEmbedding
    np.testing.assert_allclose(plain.predict(make_rows(), verbose=0)["click"], wanted, atol=1e-6)
    other = make_model()
    other.load_weights(tmp_path / "tpu.weights.h5")
    np.testing.assert_allclose(other.predict(make_rows(), verbose=0)["click"], wanted, atol=1e-6)
    plain.save(tmp_path / "plain.keras")
    with strategy.scope(), TPUTables(BATCH, split()):
        warm = keras.saving.load_model(tmp_path / "plain.keras", compile=False)
        warm.compile("sgd")
    assert type(tables_layer(warm)) is TPUFieldEmbedding
    np.testing.assert_allclose(warm.predict(dataset(), verbose=0)["click"], wanted, atol=1e-6)


# Keras names the containers of the layer that it could not load, before the reason.
@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_files_of_other_tables_are_refused(trained, tmp_path):
    strategy, model = trained
    with strategy.scope():
        model.save_weights(tmp_path / "a.weights.h5")
        with TPUTables(BATCH, split()):
            wider = make_model(multi_embedding=False)
        with pytest.raises(ValueError, match="saved tables have the shapes"):
            wider.load_weights(tmp_path / "a.weights.h5")


def test_learning_rates_set_later_reach_the_tables(monkeypatch):
    strategy, optimizer = play_tpu(monkeypatch), split()
    with strategy.scope(), TPUTables(BATCH, optimizer):
        model = make_model()
        model.compile(optimizer)
    before = tables_layer(model).get_tables()
    optimizer.learning_rate = 0.0
    model.fit(dataset(), verbose=0)
    for name, table in tables_layer(model).get_tables().items():
        np.testing.assert_array_equal(table, before[name])


def test_schedules_go_on_and_leave_tables_stacked(monkeypatch):
    steps = keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.25, 0.0])
    optimizer = rk.optimizers.Split(rk.optimizers.SGD(steps), keras.optimizers.SGD(0.0))
    with play_tpu(monkeypatch).scope(), TPUTables(BATCH, optimizer):
        model = make_model()
        model.compile(optimizer)
    (cores,) = StandInSparseCores.made
    assert len(cores.embedding_tables) < len(cores.embedding_layouts) == 6
    layer, tables = tables_layer(model), []
    for _ in range(2):
        model.fit(dataset(), verbose=0)
        tables.append(layer.get_tables())
    assert int(optimizer.embeddings.iterations) == 10
    for name, table in tables[0].items():
        np.testing.assert_array_equal(table, tables[1][name])


def test_the_plan_of_tables_on_a_tpu(monkeypatch):
    own = {"user": "sgd", "item": rk.optimizers.Adagrad(0.1), "tags": rk.optimizers.LazyAdam(0.1)}
    monkeypatch.setattr(StandInSparseCores, "build", lambda self: None)
    with play_tpu(monkeypatch).scope(), TPUTables(BATCH, own):
        model = make_model()
    plan = rk.layers.plan(model)
    assert {t.device for t in plan.tables} == {"SparseCores"}
    state = {t.table: t.state_bytes / t.table_bytes for t in plan.tables}
    assert state == {"user": 0.0, "item": 1.0, "tags": 2.0}
    assert len(plan.tables) == 6


def test_tables_begin_with_numbers_of_their_own(monkeypatch):
    with play_tpu(monkeypatch).scope(), TPUTables(BATCH):
        tables = tables_layer(make_model()).get_tables()
    assert not np.array_equal(tables["sparse/user"], tables["global/user"])
    rows = np.concatenate(list(tables.values()))
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_chips_without_sparse_cores_keep_whole_tables(monkeypatch):
    for feature in (FEATURES.V1, FEATURES.UNSUPPORTED):
        with play_tpu(monkeypatch, feature).scope():
            layer = tables_layer(make_model())
            assert type(layer) is FieldEmbedding
            assert layer.validate is False
            with pytest.raises(ValueError, match="v5p, v6e"):
                TPUFieldEmbedding(layer, BATCH, placement="sparsecore")


def test_a_model_without_its_batch_size_is_refused(monkeypatch):
    with (
        play_tpu(monkeypatch).scope(),
        pytest.raises(ValueError, match=r"`with .*distribution.experimental.TPUTables\(batch_size"),
    ):
        make_model()


def test_batches_of_another_size_are_refused(trained):
    _, model = trained
    for rows in (dataset(drop=False), dataset().unbatch().batch(4, drop_remainder=True)):
        with pytest.raises(ValueError, match=r"exactly 8 rows.*drop_remainder=True"):
            model.fit(rows, verbose=0)


def test_a_call_by_itself_is_refused(trained):
    _, model = trained
    with pytest.raises(ValueError, match="copy_to_host"):
        model(model.encode({k: v[:BATCH] for k, v in make_rows().items()}))


@pytest.mark.parametrize(
    ("tables", "compiled", "message"),
    [
        ("ftrl", lambda: rk.optimizers.Split("adagrad"), "Ftrl with .*; `compile` wants Adagrad"),
        (
            lambda: rk.optimizers.Adagrad(0.1),
            lambda: rk.optimizers.Split(rk.optimizers.Adagrad(0.2)),
            "the same Split",
        ),
        (
            lambda: {"user": "sgd", "item": "sgd", "tags": "adagrad"},
            lambda: rk.optimizers.Split("sgd"),
            "one for each table",
        ),
    ],
)
def test_another_optimizer_in_compile_is_refused(monkeypatch, tables, compiled, message):
    made = tables if isinstance(tables, str) else tables()
    if made == "ftrl":
        monkeypatch.setattr(StandInSparseCores, "build", lambda self: None)
    with play_tpu(monkeypatch).scope(), TPUTables(BATCH, made):
        model = make_model()
        with pytest.raises(ValueError, match=message):
            model.compile(compiled())


def test_the_same_optimizer_by_name_or_alone_is_taken(monkeypatch):
    with play_tpu(monkeypatch).scope(), TPUTables(BATCH, "adagrad"):
        model = make_model()
        model.compile(rk.optimizers.Split())
        model.compile("adam")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embeddings_regularizer": "l2"}, "`embeddings_regularizer`"),
        ({"optimizer": split(global_clipnorm=1.0)}, "cannot clip.*global_clipnorm"),
        ({"optimizer": "lazy_adam"}, "'user' cannot be trained by 'lazy_adam'"),
        ({"optimizer": rk.optimizers.RowWiseAdagrad()}, "by RowWiseAdagrad"),
    ],
)
def test_what_a_tpu_cannot_do_is_refused(monkeypatch, settings, message):
    optimizer = settings.pop("optimizer", "adagrad")
    with (
        play_tpu(monkeypatch).scope(),
        TPUTables(BATCH, optimizer),
        pytest.raises(ValueError, match=message),
    ):
        make_model(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "`batch_size`"),
        ({"batch_size": 8.0}, "`batch_size`"),
        ({"batch_size": 8, "table_stacking": "all"}, "`table_stacking`"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        TPUTables(**settings)


def test_exact_resume_is_refused(trained, tmp_path):
    _, model = trained
    with pytest.raises(ValueError, match=r"`Resume` cannot read.*ModelCheckpoint.*embeddings"):
        model.fit(dataset(), verbose=0, callbacks=[rk.callbacks.Resume(tmp_path / "run")])


def test_copy_to_host_and_cost_are_for_outside_of_the_scope(trained):
    strategy, model = trained
    with strategy.scope():
        with pytest.raises(ValueError, match="outside of the strategy's scope"):
            rk.models.copy_to_host(model)
        with pytest.raises(ValueError, match="outside of the TPUStrategy's scope"):
            rk.models.cost(rk.RankUp, make_features(), ["click"])


def test_models_that_differ_are_refused():
    with pytest.raises(ValueError, match="one configuration"):
        rk.models.copy_weights(make_model(), make_model(num_blocks=2))
    with pytest.raises(ValueError, match="differ in layer"):
        rk.models.copy_weights(make_model(), make_model(token_dim=32, num_sparse_tokens=1))
