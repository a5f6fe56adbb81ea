"""A strategy that passes for a TPU's, and SparseCores in plain TensorFlow.

Without a TPU, what surrounds it runs for real: Keras's `fit`, keras-rs's layer and
configurations, TensorFlow's own stacker of tables. What is played here is the hardware: shards
of the stacks, look-ups in them, and updates of their rows.
"""

import operator
import types
from functools import reduce

import tensorflow as tf
from tensorflow.python.tpu import tpu_embedding_v3

CORES = 4
FEATURES = tf.tpu.experimental.HardwareFeature.EmbeddingFeature


class StandInStrategy(tf.distribute.MirroredStrategy):
    """One replica on the CPU."""

    def __init__(self, feature=FEATURES.V2):
        super().__init__(["cpu:0"])
        self.extended.tpu_hardware_feature = types.SimpleNamespace(
            embedding_feature=feature, num_embedding_devices_per_chip=CORES
        )


class StandInSparseCores:
    """`TPUEmbeddingV2` on one device: SGD and Adagrad, written from their equations."""

    made = ()

    def __init__(self, feature_config, optimizer, pipelined, cores):
        assert optimizer is None
        assert not pipelined
        self._config = tpu_embedding_v3._clone_feature_config(feature_config)
        self._flat = sorted(self._config.items())
        tables = list({id(f.table): f.table for _, f in self._flat}.values())
        assert all(
            reduce(operator.mul, feature.output_shape) % CORES == 0 for _, feature in self._flat
        )
        self._stacks = tpu_embedding_v3._stack_tables_with_same_table_dim_and_optimizer(
            tables, self._flat, 1, CORES, cores
        )
        self.embedding_layouts = self._stacks.table_to_layout
        self.embedding_tables = {}
        StandInSparseCores.made = (*StandInSparseCores.made, self)

    def build(self):
        self._slots = {}
        for stack, tables in self._stacks.stacked_table_to_tables.items():
            parts = [self._initial(table) for table in tables]
            width = parts[0].shape[1]
            values = tf.concat([tf.reshape(p, (CORES, -1, width)) for p in parts], axis=1)
            variable = tf.Variable(tf.reshape(values, (-1, width)), trainable=False)
            self.embedding_tables[stack] = types.SimpleNamespace(values=[variable])
            start = getattr(tables[0].optimizer, "initial_accumulator_value", 0.0)
            self._slots[stack] = tf.Variable(tf.fill(variable.shape, start), trainable=False)

    def _initial(self, table):
        shape = (table.vocabulary_size, table.dim)
        shard = types.SimpleNamespace(shape=shape, offset=(0, 0))
        return table.initializer(shape, tf.float32, shard_info=shard)

    def _rows(self, ids, table):
        """Places of a table's rows in its stack, by the layout's own account."""
        layout = self.embedding_layouts[table.name]
        core = (ids + layout.sparse_core_shard_rotation) % CORES
        place = layout.sparse_core_shard_row_offset + ids // CORES
        return core * layout.total_rows_per_sparse_core_shard + place

    def __call__(self, inputs, weights):
        activations, kept = {}, {}
        for name, feature in self._flat:
            layout = self.embedding_layouts[feature.table.name]
            ids = self._rows(inputs[name], feature.table)
            variable = self.embedding_tables[layout.stacked_table_name].values[0]
            rows = tf.gather(variable, ids)[:, :, : layout.unsharded_shape[1]]
            activations[name] = tf.reduce_sum(rows * weights[name][:, :, None], axis=1)
            kept[name] = (ids, weights[name])
        return activations, kept

    def apply_gradients(self, gradients, preserved_outputs):
        for stack, tables in self._stacks.stacked_table_to_tables.items():
            names = {table.name for table in tables}
            variable, slot = self.embedding_tables[stack].values[0], self._slots[stack]
            total = tf.zeros(variable.shape)
            for name, feature in self._flat:
                if feature.table.name in names:
                    ids, weight = preserved_outputs[name]
                    parts = gradients[name][:, None, :] * weight[:, :, None]
                    parts = tf.pad(parts, [[0, 0], [0, 0], [0, variable.shape[1] - parts.shape[2]]])
                    total = tf.tensor_scatter_nd_add(total, ids[:, :, None], parts)
            self._update(tables[0].optimizer, variable, slot, total)

    def _update(self, optimizer, variable, slot, gradient):
        rate = optimizer.learning_rate
        rate = tf.cast(rate() if callable(rate) else rate, tf.float32)
        if isinstance(optimizer, tf.tpu.experimental.embedding.Adagrad):
            slot.assign_add(gradient**2)
            gradient *= tf.math.rsqrt(slot)
        else:
            assert isinstance(optimizer, tf.tpu.experimental.embedding.SGD)
        variable.assign_sub(rate * gradient)


def play_tpu(monkeypatch, feature=FEATURES.V2):
    """Puts the stand-ins in the places of TensorFlow's classes; returns the strategy."""
    monkeypatch.setattr(tf.distribute, "TPUStrategy", StandInStrategy)
    monkeypatch.setattr(tf.tpu.experimental.embedding, "TPUEmbeddingV2", StandInSparseCores)
    monkeypatch.setattr(StandInSparseCores, "made", ())
    return StandInStrategy(feature)
