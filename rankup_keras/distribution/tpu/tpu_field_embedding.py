"""The same fields on a TPU's own embedding hardware, by keras-rs. No TPU has run it."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.compat.distributed_embedding import default_device_tables, sparse_core_tables
from rankup_keras.distribution.tpu import sparse_core, table_optimizers
from rankup_keras.features.spec import FieldSpec
from rankup_keras.layers.embeddings import gather_and_pool
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
from rankup_keras.layers.embeddings.field_lookup import FieldLookup
from rankup_keras.layers.embeddings.layout import bag_group, to_tables, to_variables
from rankup_keras.layers.embeddings.placement import has_sparse_cores

PLACEMENTS = ("auto", "sparsecore", "default_device")


@serializable
class TPUFieldEmbedding(FieldLookup):
    """`FieldEmbedding` on the SparseCores of TPUs (v5p, v6e). Experimental.

    Takes the definitions of a `FieldEmbedding` and gives the same outputs, by
    `keras_rs.layers.DistributedEmbedding`: each table of each table set is a
    table there, stacked with others of its width and optimizer, and trained by
    the TPU itself with the optimizer given here, whose learning rate is read at
    every step; the optimizer of `compile` sees the dense part only. All tables
    use the combiner `"sum"`, weighted by this layer, so that padding, empty
    lists and fields of different combiners on one table mean what they mean in
    `FieldEmbedding`. A sequence is one feature per slot.

    Models make it by themselves under a `TPUStrategy`, see `TPUTables`. Off TPU
    (`placement="default_device"`) it is slow and serves to check a model.
    Weight files are those of a `FieldEmbedding`: a model saved on a TPU loads
    off TPU, and the other way round. They hold the tables and not the slots of
    the TPU's optimizers, which start anew.

    No TPU has run it. The embedding hardware of v2 to v4 takes ids only as they
    come into the step, and dense ids only without weights (TensorFlow 2.21,
    `tpu_embedding_v2.py`), so it cannot read fields cut out of one tensor.

    Args:
        fields_layer: the `FieldEmbedding` (or its config) whose definitions to
            take. Its weights are not shared; see `set_tables`.
        batch_size: int. The global batch size; TPU shapes are static.
        optimizer: for all tables, or a dict from a table's name to its own.
            SGD, Adagrad, Adam or Ftrl, of Keras or of
            `rankup_keras.optimizers`, or a `Split`, of which the part for the
            tables counts. Defaults to `"adagrad"`.
        placement: `"auto"`, `"sparsecore"` or `"default_device"`, as in keras-rs.
            Defaults to `"auto"`.
        table_stacking: `"auto"` or `None`. Defaults to `"auto"`.

    Call arguments and returns: those of `FieldEmbedding`, with a batch of
    `batch_size / replicas` rows.

    Raises:
        ValueError: an argument out of its range, an optimizer that the TPU does
            not have, an `embeddings_regularizer`, or a TPU of v2 to v4.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk
    from rankup_keras.features import FieldSpec, TableSpec

    plain = rk.layers.FieldEmbedding([TableSpec("item", 100)], [FieldSpec("item", "item", 0)])
    layer = rk.distribution.experimental.TPUFieldEmbedding(
        plain, batch_size=2, placement="default_device"
    )
    ids = np.array([[7], [1]], np.int32)
    layer(ids), plain(ids)
    plain.set_tables(layer.get_tables())  # as for export
    np.testing.assert_allclose(layer(ids)["shared"], plain(ids)["shared"], atol=1e-6)
    ```
    """

    def __init__(
        self,
        fields_layer: FieldEmbedding | Mapping[str, Any],
        batch_size: int,
        optimizer: Any = "adagrad",
        placement: str = "auto",
        table_stacking: str | None = "auto",
        **kwargs: Any,
    ) -> None:
        import keras_rs

        if placement not in PLACEMENTS:
            raise ValueError(f"`placement` must be one of {PLACEMENTS}. Received: {placement!r}.")
        on_tpu = placement != "default_device" and has_sparse_cores()
        if placement == "sparsecore" and not on_tpu:
            raise ValueError(
                "placement='sparsecore' needs the scope of a TPUStrategy whose chips have "
                f"SparseCores: v5p, v6e. Received: {type(tf.distribute.get_strategy()).__name__}."
            )
        given: Any = fields_layer
        if isinstance(given, Mapping):
            given = keras.saving.deserialize_keras_object(given)
        if given.embeddings_regularizer is not None:
            raise ValueError(
                "A TPU updates its tables by itself and knows no `embeddings_regularizer`. "
                f"Received: {type(given.embeddings_regularizer).__name__}."
            )
        # The check of ids needs strings, which a TPU does not have.
        validate = given.validate and not on_tpu
        super().__init__(**{**given.definition(), "validate": validate}, **kwargs)
        self.batch_size = batch_size
        self.optimizer = table_optimizers.deserialized(optimizer)
        self.placement = placement
        # TPUEmbedding, which keras-rs's "auto" would take on v2 to v4, cannot read these inputs.
        self._resolved = "sparsecore" if on_tpu else "default_device"
        self.table_stacking = table_stacking
        self._with_current_rate = table_optimizers.WithCurrentRate()
        # Weights and rows are float32 on the SparseCores, whatever the model computes in.
        self.embedding = keras_rs.layers.DistributedEmbedding(
            self.feature_configs(), table_stacking=table_stacking, name="tables", dtype="float32"
        )

    def __dir__(self) -> list[str]:
        # Keras's saver goes through what this names: it shall find the layer as it would find a
        # `FieldEmbedding`, see `save_own_variables`.
        return [name for name in super().__dir__() if name not in ("embedding", "optimizer")]

    @property
    def on_tpu(self) -> bool:
        """Whether the tables lie on the SparseCores of a TPU."""
        return sparse_core_tables(self.embedding) is not None

    def check_compiled(self, optimizer: Any) -> None:
        table_optimizers.check_compiled(self.optimizer, optimizer)

    def feature_configs(self) -> dict[str, Any]:
        """keras-rs's configuration: one feature per field of a set, or per slot of a sequence."""
        import keras_rs

        tables: dict[str, Any] = {}
        configs: dict[str, Any] = {}
        rows = {table.name: table.rows for table in self.tables}
        for table_set, field in self._entries():
            width = self.width_of(table_set, field.table)
            key = f"{table_set}/{field.table}"
            if key not in tables:
                optimizer = table_optimizers.tpu_optimizer(self.optimizer, field.table)
                tables[key] = keras_rs.layers.TableConfig(
                    name=_name(key),
                    vocabulary_size=rows[field.table],
                    embedding_dim=width,
                    initializer=sparse_core.in_shards(self.embeddings_initializer, key),
                    optimizer=self._with_current_rate(optimizer),
                    combiner="sum",
                    placement=self._resolved,
                )
            for name, slots in _features(table_set, field):
                configs[name] = keras_rs.layers.FeatureConfig(
                    name=name,
                    table=tables[key],
                    input_shape=(self.batch_size, len(range(field.slots)[slots])),
                    output_shape=(self.batch_size, width),
                )
        return configs

    def _entries(self) -> list[tuple[str, FieldSpec]]:
        return [(name, field) for name in self.table_sets for field in self.members(name)]

    def build(self, input_shape: Any = None) -> None:
        configs = self.feature_configs()
        self.embedding.build({name: config.input_shape for name, config in configs.items()})
        self.built = True

    def call(self, ids: Any, weights: Any = None) -> dict[str, Any]:
        ids = self.checked(ids)
        if self.on_tpu:
            if tf.distribute.in_cross_replica_context() and not tf.executing_eagerly():
                # Before the first step Keras asks for shapes, outside of any replica.
                return self._zeros(ids)
            self._check_rows(ids)
        inputs, counts = {}, {}
        for table_set, field in self._entries():
            own = ids[:, field.start : field.start + field.slots]
            coefficients = self._coefficients(ids, weights, field)
            for name, slots in _features(table_set, field):
                inputs[name], counts[name] = own[:, slots], coefficients[:, slots]
        rows = self.embedding(inputs, counts)
        outputs: dict[str, Any] = {}
        pooled: dict[str, list[Any]] = {}
        for table_set, field in self._entries():
            parts = [rows[name] for name, _ in _features(table_set, field)]
            if field.kind == "sequence":
                outputs[f"{table_set}/{field.name}"] = tf.stack(parts, axis=1)
            else:
                pooled.setdefault(table_set, []).extend(parts)
        outputs |= {name: tf.concat(parts, axis=1) for name, parts in pooled.items()}
        return {key: tf.cast(x, self.compute_dtype) for key, x in outputs.items()}

    def _coefficients(self, ids: tf.Tensor, weights: Any, field: FieldSpec) -> tf.Tensor:
        """The weight of each slot, (batch, slots)."""
        if field.kind == "sequence":
            own = ids[:, field.start : field.start + field.slots]
            return tf.cast(own > 0, tf.float32) / field.hashes
        return gather_and_pool.bag_coefficients(ids, weights, bag_group([field]), tf.float32)[:, 0]

    def _zeros(self, ids: tf.Tensor) -> dict[str, Any]:
        rows = tf.shape(ids)[:1]
        return {
            key: tf.zeros(tf.concat([rows, x.shape[1:]], axis=0), x.dtype)
            for key, x in self.compute_output_spec(ids).items()
        }

    def _check_rows(self, ids: tf.Tensor) -> None:
        if tf.executing_eagerly():
            raise ValueError(
                f"Layer '{self.name}' has its tables on a TPU and can be called by `fit`, "
                "`evaluate` and `predict` only; for other uses see "
                "`rankup_keras.models.copy_to_host`."
            )
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if ids.shape[0] != self.batch_size // replicas:
            raise ValueError(
                f"Layer '{self.name}' has its tables on a TPU and takes batches of exactly "
                f"{self.batch_size} rows, {self.batch_size // replicas} for each of {replicas} "
                f"replicas. Received: {ids.shape[0] or 'any number of'} rows for one; "
                f"`dataset.batch({self.batch_size}, drop_remainder=True)` gives them."
            )

    def get_tables(self) -> dict[str, np.ndarray]:
        """Copies of all tables, as `set/table` → (rows, width).

        On a TPU call it under the strategy's scope.
        """
        if self.on_tpu:
            tables = sparse_core.read_tables(sparse_core_tables(self.embedding))
        else:
            tables = self.embedding.get_embedding_tables()
        return {_key(name): keras.ops.convert_to_numpy(table) for name, table in tables.items()}

    def set_tables(self, tables: Mapping[str, np.ndarray]) -> None:
        """Overwrites tables given as `set/table` → (rows, width): a warm start.

        On a TPU call it under the strategy's scope.
        """
        self.check_tables(tables)
        named = {_name(key): np.asarray(table) for key, table in tables.items()}
        if self.on_tpu:
            sparse_core.write_tables(sparse_core_tables(self.embedding), named)
            return
        variables = default_device_tables(self.embedding)
        own = {config.table.name: variables[n] for n, config in self.feature_configs().items()}
        for name, table in named.items():
            own[name].assign(table)

    def save_own_variables(self, store: Any) -> None:
        for index, values in enumerate(to_variables(self.stacks, self.get_tables())):
            store[str(index)] = values

    def load_own_variables(self, store: Any) -> None:
        values = [np.asarray(store[str(index)]) for index in range(len(store.keys()))]
        self.set_tables(to_tables(self.stacks, values))

    def get_config(self) -> dict[str, Any]:
        fields = FieldEmbedding(**self.definition(), name=self.name)
        return {
            **super(FieldLookup, self).get_config(),
            "fields_layer": keras.saving.serialize_keras_object(fields),
            "batch_size": self.batch_size,
            "optimizer": table_optimizers.serialized(self.optimizer),
            "placement": self.placement,
            "table_stacking": self.table_stacking,
        }


# Keras's files find a layer by the name of its class, and these are a `FieldEmbedding`'s.
TPUFieldEmbedding.__name__ = FieldEmbedding.__name__


def _features(table_set: str, field: FieldSpec) -> list[tuple[str, slice]]:
    """The features of a field, and which of its slots each reads."""
    name = f"{table_set}__{field.name}"
    if field.kind != "sequence":
        return [(name, slice(None))]
    # The ids of an item by several hash functions stand a sequence's length apart.
    return [(f"{name}__{i}", slice(i, None, field.length)) for i in range(field.length)]


def _name(key: str) -> str:
    # Table names become part of the names of TPU variables, which must not have a slash.
    return key.replace("/", "__", 1)


def _key(name: str) -> str:
    return name.replace("__", "/", 1)
