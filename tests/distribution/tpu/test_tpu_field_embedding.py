"""The TPU's form of the fields: outputs off TPU, configurations field by field."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_rs.src.layers.embedding.tensorflow import config_conversion

from rankup_keras import optimizers
from rankup_keras.distribution.experimental import TPUFieldEmbedding
from rankup_keras.features.spec import FieldSpec
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
from tests.distribution.tpu.fields import BATCH, SHAPES, TABLES, make, make_ids, stand_in

# TensorFlow's stacker itself warns by a deprecated call when stacking is off.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' function:DeprecationWarning")


def test_same_tables_give_the_same_outputs():
    fields, on_tpu = make()
    ids, weights = make_ids()
    wanted = fields(ids, weights)
    on_tpu(ids, weights)
    on_tpu.set_tables(fields.get_tables())
    actual = on_tpu(ids, weights)
    assert set(actual) == set(wanted)
    for key, value in wanted.items():
        np.testing.assert_allclose(actual[key], value, atol=1e-6, err_msg=key)


def test_tables_come_back_for_export():
    fields, on_tpu = make()
    fields(*make_ids())
    on_tpu(*make_ids())
    assert len(on_tpu.weights) == 5
    fields.set_tables(on_tpu.get_tables())
    for key, table in on_tpu.get_tables().items():
        np.testing.assert_array_equal(fields.get_tables()[key], table)
    np.testing.assert_allclose(
        fields(*make_ids())["token"], on_tpu(*make_ids())["token"], atol=1e-6
    )


def test_values_of_several_hash_functions_are_looked_up_alike():
    fields = [
        FieldSpec("user", "user", 0, hashes=3),
        FieldSpec("genres", "genre", 3, 2, "bag", "sqrtn", 0, 2),
        FieldSpec("item", "item", 7),
        FieldSpec("clicks", "user", 8, 2, "sequence", hashes=3),
    ]
    layer = FieldEmbedding(TABLES, fields, 16, validate=False)
    on_tpu = TPUFieldEmbedding(layer, BATCH, placement="default_device")
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 10, (BATCH, 14)).astype(np.int32)
    ids[0] = 0
    ids[1, [4, 6, 9, 11, 13]] = 0
    ids[2, :3] = 0
    weights = rng.random((BATCH, 2)).astype(np.float32)
    wanted = layer(ids, weights)
    on_tpu(ids, weights)
    on_tpu.set_tables(layer.get_tables())
    actual = on_tpu(ids, weights)
    for key, value in wanted.items():
        np.testing.assert_allclose(actual[key], value, atol=1e-6, err_msg=key)
    shapes = {name: config.input_shape for name, config in on_tpu.feature_configs().items()}
    assert shapes == {
        "shared__user": (BATCH, 3),
        "shared__genres": (BATCH, 4),
        "shared__item": (BATCH, 1),
        "shared__clicks__0": (BATCH, 3),
        "shared__clicks__1": (BATCH, 3),
    }


@pytest.mark.parametrize(
    ("tables", "message"),
    [({"token/shop": np.zeros((3, 3))}, "'token/shop'"), ({"token/user": np.zeros((3, 3))}, "37")],
)
def test_wrong_tables_are_named(tables, message):
    for layer in make():
        layer(*make_ids())
        with pytest.raises(ValueError, match=message):
            layer.set_tables(tables)


def test_trains_and_reloads(tmp_path):
    _, on_tpu = make(optimizer={"user": "sgd", "item": optimizers.LazyAdam(0.1), "genre": "ftrl"})
    ids = keras.Input(batch_shape=(BATCH, 9), dtype="int32", name="ids")
    weights = keras.Input(batch_shape=(BATCH, 3), name="weights")
    rows = on_tpu(ids, weights)
    both = keras.layers.Concatenate()([rows["token"], rows["global"]])
    model = keras.Model([ids, weights], keras.layers.Dense(1)(both))
    model.compile("adagrad", "mse", jit_compile=False)
    model.fit([*make_ids()], np.ones((BATCH, 1)), batch_size=BATCH, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded([*make_ids()]), model([*make_ids()]), atol=1e-6)
    again = loaded.get_layer(on_tpu.name)
    assert isinstance(again.optimizer["item"], optimizers.LazyAdam)


OPTIMIZERS = {
    "sgd": (optimizers.SGD(0.3), tf.tpu.experimental.embedding.SGD, {}),
    "adagrad": (
        optimizers.Adagrad(0.3, initial_accumulator_value=0.2),
        tf.tpu.experimental.embedding.Adagrad,
        {"initial_accumulator_value": 0.2},
    ),
    "ftrl": (
        optimizers.Ftrl(0.3, l1_regularization_strength=0.01),
        tf.tpu.experimental.embedding.FTRL,
        {"l1_regularization_strength": 0.01, "initial_accumulator_value": 0.1},
    ),
    "lazy_adam": (
        optimizers.LazyAdam(0.3, beta_1=0.8),
        tf.tpu.experimental.embedding.Adam,
        {"beta_1": 0.8, "lazy_adam": True},
    ),
    "split": (
        optimizers.Split(embeddings=optimizers.Adagrad(0.3)),
        tf.tpu.experimental.embedding.Adagrad,
        {"initial_accumulator_value": 0.1},
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_tpu_configuration_field_by_field(name):
    optimizer, kind, parameters = OPTIMIZERS[name]
    _, on_tpu = make(optimizer=optimizer)
    features, cores = config_conversion.keras_to_tf_tpu_configuration(
        on_tpu.feature_configs(), "auto", num_replicas_in_sync=4
    )
    assert cores.disable_table_stacking is False
    assert set(features) == {
        "token__user",
        "token__genres",
        "token__tags",
        "token__item",
        "token__clicks__0",
        "token__clicks__1",
        "global__genres",
        "global__item",
    }
    for feature in features.values():
        assert feature.output_shape.as_list() == [BATCH // 4]
    tables = {f.table.name: f.table for f in features.values()}
    seen = {n: (t.vocabulary_size, t.dim, t.combiner) for n, t in tables.items()}
    assert seen == {
        "token__user": (37, 16, "sum"),
        "token__item": (21, 8, "sum"),
        "token__genre": (10, 16, "sum"),
        "global__item": (21, 8, "sum"),
        "global__genre": (10, 16, "sum"),
    }
    assert features["token__genres"].table is features["token__tags"].table
    assert features["token__genres"].table is not features["global__genres"].table
    for table in tables.values():
        assert isinstance(table.optimizer, kind)
        assert float(table.optimizer.learning_rate()) == pytest.approx(0.3)
        for key, value in parameters.items():
            assert getattr(table.optimizer, key) == pytest.approx(value)

    # And back: TensorFlow's own configurations, cloned as for a layer made from them.
    back = config_conversion.clone_tf_tpu_feature_configs(features)
    for key, feature in back.items():
        assert feature.name == features[key].name
        assert feature.output_shape == features[key].output_shape
        assert feature.table.vocabulary_size == features[key].table.vocabulary_size
        assert feature.table.dim == features[key].table.dim
        assert feature.table.combiner == features[key].table.combiner
        assert feature.table.optimizer == features[key].table.optimizer


@pytest.mark.parametrize("stacking", ["auto", None])
def test_tables_of_one_width_and_optimizer_are_stacked(stacking):
    shared = optimizers.Adagrad(0.5)
    own = {"user": shared, "item": shared, "genre": optimizers.SGD(0.1)}
    _, on_tpu = make(optimizer=own, table_stacking=stacking)
    _, cores = config_conversion.keras_to_tf_tpu_configuration(
        on_tpu.feature_configs(), on_tpu.table_stacking, 1
    )
    assert cores.disable_table_stacking is (stacking is None)
    stacks: dict[str, list] = {}
    layouts = stand_in(on_tpu, 1, 4, stacking).embedding_layouts
    for name, layout in layouts.items():
        assert tuple(layout.unsharded_shape) == SHAPES[name]
        stacks.setdefault(layout.stacked_table_name, []).append(name)
    together = [["global__genre", "token__genre"], ["global__item", "token__item"], ["token__user"]]
    apart = [[name] for name in sorted(SHAPES)]
    assert sorted(sorted(names) for names in stacks.values()) == (together if stacking else apart)


def test_batch_that_replicas_do_not_divide_is_refused():
    _, on_tpu = make()
    with pytest.raises(ValueError, match="Batch size 8 is not a multiple"):
        config_conversion.keras_to_tf_tpu_configuration(on_tpu.feature_configs(), "auto", 3)
