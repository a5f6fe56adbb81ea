"""The TPU's form of the fields: outputs off TPU, configurations field by field, shards."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_rs.src.layers.embedding.tensorflow import config_conversion
from tensorflow.python.tpu import tpu_embedding_v3, tpu_embedding_v3_utils

from rankup_keras import optimizers
from rankup_keras.distribution.tpu import sparse_core
from rankup_keras.distribution.tpu.tpu_field_embedding import TPUFieldEmbedding
from rankup_keras.features.spec import FieldSpec, TableSpec
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding

TABLES = [TableSpec("user", 37), TableSpec("item", 21, 8), TableSpec("genre", 10)]
FIELDS = [
    FieldSpec("user", "user", 0),
    FieldSpec("genres", "genre", 1, 3, "bag", "mean", 0),
    FieldSpec("tags", "genre", 4, 2, "bag", "sqrtn"),
    FieldSpec("item", "item", 6),
    FieldSpec("clicks", "item", 7, 2, "sequence"),
]
SHAPES = {
    "token__user": (37, 16),
    "token__item": (21, 8),
    "token__genre": (10, 16),
    "global__item": (21, 8),
    "global__genre": (10, 16),
}
BATCH = 8

# TensorFlow's stacker itself warns by a deprecated call when stacking is off.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' function:DeprecationWarning")


def make(**kwargs):
    fields = FieldEmbedding(TABLES, FIELDS, 16, {"token": None, "global": ["item", "genres"]})
    kwargs = {"placement": "default_device", "optimizer": "adagrad"} | kwargs
    return fields, TPUFieldEmbedding(fields, BATCH, **kwargs)


def make_ids():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 10, (BATCH, 9)).astype(np.int32)
    ids[0, 1:6] = 0  # empty bags
    ids[1, 7:9] = 0  # an empty sequence
    return ids, rng.random((BATCH, 3)).astype(np.float32)


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


def test_each_table_can_have_an_optimizer_of_its_own():
    own = {"user": "sgd", "item": optimizers.Adagrad(0.5), "genre": "ftrl"}
    _, on_tpu = make(optimizer=own)
    features, _ = config_conversion.keras_to_tf_tpu_configuration(
        on_tpu.feature_configs(), "auto", 1
    )
    kinds = {f.table.name: type(f.table.optimizer).__name__ for f in features.values()}
    assert kinds["token__user"] == "SGD"
    assert kinds["token__item"] == kinds["global__item"] == "Adagrad"
    assert kinds["token__genre"] == "FTRL"


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


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (optimizers.RowWiseAdagrad(), "'user' cannot be trained by RowWiseAdagrad"),
        (keras.optimizers.RMSprop(), "'user' cannot be trained by RMSprop"),
        ("rmsprop", "'user' cannot be trained by 'rmsprop'"),
        ({"item": "sgd"}, "no entry for table 'user'"),
    ],
)
def test_optimizers_that_the_tpu_lacks_are_refused(optimizer, message):
    with pytest.raises(ValueError, match=message):
        make(optimizer=optimizer)


def stand_in(on_tpu, devices, cores_per_device, stacking):
    """Layouts from TensorFlow's own stacker, and plain variables where a TPU's shards would be."""
    features, cores = config_conversion.keras_to_tf_tpu_configuration(
        on_tpu.feature_configs(), stacking, 1
    )
    flat = sorted(features.items())
    tables = {f.table.name: f.table for f in features.values()}
    stacks = tpu_embedding_v3._stack_tables_with_same_table_dim_and_optimizer(
        list(tables.values()), flat, devices, cores_per_device, cores
    )
    layouts = stacks.table_to_layout
    rng = np.random.default_rng(1)
    variables = {}
    for layout in layouts.values():
        rows = layout.total_rows_per_sparse_core_shard * cores_per_device
        shape = (rows, layout.unsharded_padded_shape[1])
        variables[layout.stacked_table_name] = types.SimpleNamespace(
            values=[tf.Variable(rng.normal(size=shape).astype("f")) for _ in range(devices)]
        )
    return types.SimpleNamespace(embedding_layouts=layouts, embedding_tables=variables)


@pytest.mark.parametrize("stacking", ["auto", None])
@pytest.mark.parametrize(("devices", "cores_per_device"), [(1, 2), (2, 4), (4, 2)])
def test_shards_of_a_stand_in_are_read_as_tensorflow_reads_them(
    devices, cores_per_device, stacking
):
    _, on_tpu = make()
    shards = stand_in(on_tpu, devices, cores_per_device, stacking)
    names = {layout.stacked_table_name for layout in shards.embedding_layouts.values()}
    assert (len(names) < 5) is (stacking == "auto")
    for name, table in sparse_core.read_tables(shards).items():
        layout = shards.embedding_layouts[name]
        stack = tf.concat(shards.embedding_tables[layout.stacked_table_name].values, axis=0)
        padded = tpu_embedding_v3_utils.unshuffle_from_sc_to_cpu(
            stack,
            layout.num_sparse_cores,
            layout.sparse_core_shard_row_offset,
            layout.unsharded_padded_shape[0] // layout.num_sparse_cores,
            layout.sparse_core_shard_rotation,
        )
        wanted = tpu_embedding_v3_utils.remove_padding_from_sc(padded, layout.unsharded_shape)
        np.testing.assert_array_equal(table, wanted)


@pytest.mark.parametrize("stacking", ["auto", None])
def test_tables_go_into_the_shards_and_come_back(stacking):
    fields, on_tpu = make()
    fields(*make_ids())
    shards = stand_in(on_tpu, 2, 4, stacking)
    before = sparse_core.read_tables(shards)
    on_tpu.embedding._tpu_embedding = shards
    tables = fields.get_tables()
    on_tpu.set_tables({key: tables[key] for key in ("token/user", "global/item")})
    after = on_tpu.get_tables()
    np.testing.assert_array_equal(after["token/user"], tables["token/user"])
    np.testing.assert_array_equal(after["global/item"], tables["global/item"])
    np.testing.assert_array_equal(after["token/genre"], before["token__genre"])
    np.testing.assert_array_equal(after["token/item"], before["token__item"])
