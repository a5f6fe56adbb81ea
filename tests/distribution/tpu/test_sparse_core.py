"""Tables in and out of shards, as TensorFlow itself lays them out."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.tpu import tpu_embedding_v3_utils

from rankup_keras.distribution.tpu import sparse_core
from tests.distribution.tpu.fields import make, make_ids, stand_in

# TensorFlow's stacker itself warns by a deprecated call when stacking is off.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' function:DeprecationWarning")


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
