"""The same fields on a TPU's own embedding hardware, by keras-rs."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.distribution.tpu import sparse_core
from rankup_keras.distribution.tpu.table_optimizers import Following, check_compiled, tpu_optimizer
from rankup_keras.features.spec import FieldSpec
from rankup_keras.layers.embeddings import layout as layout_lib
from rankup_keras.layers.embeddings import lookup
from rankup_keras.layers.embeddings.field_embedding import FieldEmbedding
from rankup_keras.layers.embeddings.initializers import InShards
from rankup_keras.layers.embeddings.stores import stores_of, tables_of

PLACEMENTS = ("auto", "sparsecore", "default_device")


def has_sparse_cores() -> bool:
    """Whether the strategy in whose scope this is called has chips with SparseCores."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.TPUStrategy):
        return False
    found = strategy.extended.tpu_hardware_feature.embedding_feature
    return bool(found == tf.tpu.experimental.HardwareFeature.EmbeddingFeature.V2)


@serializable
class TPUFieldEmbedding(keras.layers.Layer):
    """`FieldEmbedding` on the SparseCores of TPUs (v5p, v6e).

    Takes the definitions of a `FieldEmbedding` and gives the same outputs, by
    `keras_rs.layers.DistributedEmbedding`: each table of each set is a table
    there, stacked with others of its width and optimizer, and trained by the
    TPU itself with the optimizer given here, whose learning rate is read at
    every step; the optimizer of `compile` sees the dense part only. All tables
    use the combiner `"sum"`, weighted by this layer, so that
    padding, empty lists and fields of different combiners on one table mean
    what they mean in `FieldEmbedding`. A sequence is one feature a slot.

    Models make it by themselves under a `TPUStrategy`, see `TPUTables`. Off TPU
    (`placement="default_device"`) it is slow and serves to check a model.
    Weights files are those of a `FieldEmbedding`: a model saved on a TPU loads
    off TPU and the other way round. They hold the tables, not what the TPU's
    optimizers keep of them, which begins anew.

    The embedding hardware of v2 to v4 takes ids only as they come into the step
    and dense ids only without weights (TensorFlow 2.21, `tpu_embedding_v2.py`),
    so that fields cut out of one tensor cannot be read by it.

    Args:
        fields_layer: the `FieldEmbedding` (or its config) whose definitions it
            takes. Its weights are not shared; see `set_tables`.
        batch_size: the global batch size; TPU shapes are static.
        optimizer: for all tables, or a dict from a table's name to its own.
            SGD, Adagrad, Adam or Ftrl, of Keras or of
            `rankup_keras.optimizers`, or a `Split`, of which its tables' part
            counts. Defaults to `"adagrad"`.
        placement: `"auto"`, `"sparsecore"` or `"default_device"`, as keras-rs
            takes them. Defaults to `"auto"`.
        table_stacking: `"auto"` or `None`. Defaults to `"auto"`.

    Call arguments and returns: those of `FieldEmbedding`, with a batch of
    `batch_size / replicas` rows.

    Example:

    ```python
    with strategy.scope():
        layer = TPUFieldEmbedding(cpu_layer, batch_size=4096, optimizer="adagrad")
    ...
    cpu_layer.set_tables(layer.get_tables())   # for export
    ```

    Raises:
        ValueError: an argument out of its range, an optimizer that the TPU does
            not have, an `embeddings_regularizer`, or a TPU of v2 to v4.
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
        super().__init__(**kwargs)
        # A TPU's step is compiled as a whole; inside of it there is nothing more to compile.
        self.supports_jit = False
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
        # A layer of its own without weights: those of the one given would be
        # saved and trained. XLA has no strings, so no checks that name a field.
        config = given.get_config()
        if given.embeddings_regularizer is not None:
            raise ValueError(
                "A TPU updates its tables by itself and knows no `embeddings_regularizer`. "
                f"Received: {type(given.embeddings_regularizer).__name__}."
            )
        validate = given.validate and not on_tpu
        self.definition = FieldEmbedding.from_config({**config, "validate": validate})
        self.batch_size = batch_size
        if isinstance(optimizer, Mapping) and "class_name" in optimizer:
            optimizer = keras.saving.deserialize_keras_object(optimizer)
        elif isinstance(optimizer, Mapping):
            optimizer = {
                k: keras.saving.deserialize_keras_object(v) if isinstance(v, dict) else v
                for k, v in optimizer.items()
            }
        self.optimizer = optimizer
        self.placement = placement
        # TPUEmbedding, which keras-rs's "auto" would take on v2 to v4, cannot read these inputs.
        self._resolved = "sparsecore" if on_tpu else "default_device"
        self.table_stacking = table_stacking
        self._following = Following()
        self.embedding = self._distributed()

    def __dir__(self) -> list[str]:
        # Keras's saver goes through what this names: it shall find the layer as it would find a
        # `FieldEmbedding`, see `save_own_variables`.
        hidden = ("embedding", "definition", "optimizer")
        return [name for name in super().__dir__() if name not in hidden]

    @property
    def on_tpu(self) -> bool:
        """Whether the tables lie on a TPU's SparseCores."""
        return getattr(self.embedding, "_tpu_embedding", None) is not None

    def field_names(self, table_set: str) -> tuple[str, ...]:
        """See `FieldEmbedding.field_names`."""
        return self.definition.field_names(table_set)

    def field_dims(self, table_set: str) -> tuple[int, ...]:
        """See `FieldEmbedding.field_dims`."""
        return self.definition.field_dims(table_set)

    def check_compiled(self, optimizer: Any) -> None:
        """Refuses an optimizer of `compile` that wants the tables trained in another way."""
        check_compiled(self.optimizer, optimizer)

    def feature_configs(self) -> dict[str, Any]:
        """keras-rs's configuration: one feature for each field of a set, or slot of a sequence."""
        import keras_rs

        layer, tables, configs = self.definition, {}, {}
        rows = {table.name: table.rows for table in layer.tables}
        for table_set, field in self._members():
            width = layer.width_of(table_set, field.table)
            key = f"{table_set}/{field.table}"
            if key not in tables:
                tables[key] = keras_rs.layers.TableConfig(
                    name=_name(key),
                    vocabulary_size=rows[field.table],
                    embedding_dim=width,
                    initializer=InShards(layer.embeddings_initializer, key),
                    optimizer=self._following(tpu_optimizer(self.optimizer, field.table)),
                    combiner="sum",
                    placement=self._resolved,
                )
            one = field.kind == "sequence"
            for name, _ in self._features(table_set, field):
                configs[name] = keras_rs.layers.FeatureConfig(
                    name=name,
                    table=tables[key],
                    input_shape=(self.batch_size, field.hashes if one else field.slots),
                    output_shape=(self.batch_size, width),
                )
        return configs

    def _members(self) -> list[tuple[str, FieldSpec]]:
        layer = self.definition
        return [
            (name, field)
            for name, members in layer.table_sets.items()
            for field in layout_lib.fields_of(layer.fields, members)
        ]

    def _features(self, table_set: str, field: FieldSpec) -> list[tuple[str, slice]]:
        name = f"{table_set}__{field.name}"
        end = field.start + field.slots
        if field.kind != "sequence":
            return [(name, slice(field.start, end))]
        # An item's ids by several hash functions stand a sequence's length apart.
        return [
            (f"{name}__{i}", slice(field.start + i, end, field.length)) for i in range(field.length)
        ]

    def _distributed(self) -> Any:
        import keras_rs

        # Weights and rows are float32 on the SparseCores, whatever the model computes in.
        return keras_rs.layers.DistributedEmbedding(
            self.feature_configs(),
            table_stacking=self.table_stacking,
            name="tables",
            dtype="float32",
        )

    def build(self, input_shape: Any = None) -> None:
        configs = self.feature_configs()
        self.embedding.build({name: config.input_shape for name, config in configs.items()})
        self.built = True

    def call(self, ids: Any, weights: Any = None) -> dict[str, Any]:
        ids = self.definition.checked(ids)
        if self.on_tpu:
            if tf.distribute.in_cross_replica_context() and not tf.executing_eagerly():
                # Before the first step Keras asks for shapes, outside of any replica.
                return self._zeros(ids)
            self._check_rows(ids)
        inputs, counts = {}, {}
        for table_set, field in self._members():
            coefficients = self._coefficients(ids, weights, field)
            for i, (name, slots) in enumerate(self._features(table_set, field)):
                inputs[name] = ids[:, slots]
                one = field.kind == "sequence"
                counts[name] = coefficients[:, i :: field.length] if one else coefficients
        rows = self.embedding(inputs, counts)
        outputs: dict[str, Any] = {}
        pooled: dict[str, list[Any]] = {}
        for table_set, field in self._members():
            parts = [rows[name] for name, _ in self._features(table_set, field)]
            if field.kind == "sequence":
                outputs[f"{table_set}/{field.name}"] = tf.cast(
                    tf.stack(parts, axis=1), self.compute_dtype
                )
            else:
                pooled.setdefault(table_set, []).append(parts[0])
        for name, parts in pooled.items():
            outputs[name] = tf.cast(tf.concat(parts, axis=1), self.compute_dtype)
        return outputs

    def _zeros(self, ids: tf.Tensor) -> dict[str, Any]:
        spec = self.compute_output_spec(ids)
        rows = tf.shape(ids)[:1]
        return {
            key: tf.zeros(tf.concat([rows, x.shape[1:]], axis=0), x.dtype)
            for key, x in spec.items()
        }

    def _check_rows(self, ids: tf.Tensor) -> None:
        if tf.executing_eagerly():
            raise ValueError(
                f"Layer '{self.name}' has its tables on a TPU and is called by `fit`, `evaluate` "
                "and `predict` alone; for other uses see `rankup_keras.models.copy_to_host`."
            )
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if ids.shape[0] != self.batch_size // replicas:
            raise ValueError(
                f"Layer '{self.name}' has its tables on a TPU and takes batches of exactly "
                f"{self.batch_size} rows, {self.batch_size // replicas} for each of {replicas} "
                f"replicas. Received: {ids.shape[0] or 'any number of'} rows for one; "
                f"`dataset.batch({self.batch_size}, drop_remainder=True)` gives them."
            )

    def _coefficients(self, ids: tf.Tensor, weights: Any, field: FieldSpec) -> tf.Tensor:
        """(batch, slots) floats: what each slot counts for."""
        if field.kind == "sequence":
            own = ids[:, field.start : field.start + field.slots]
            return tf.cast(own > 0, tf.float32) / field.hashes
        group = layout_lib.bag_group(field.slots, [field])
        return lookup.bag_coefficients(ids, weights, group, tf.float32)[:, 0]

    def compute_output_spec(self, ids: Any, weights: Any = None) -> dict[str, Any]:
        return self.definition.compute_output_spec(ids, weights)

    def get_tables(self) -> dict[str, np.ndarray]:
        """Tables as `set/table` → (rows, width), as `FieldEmbedding.set_tables` takes them.

        On TPU call it under the strategy's scope.
        """
        if self.on_tpu:
            # Not by keras-rs, which looks for a table's name where stacks have theirs.
            tables = sparse_core.read_tables(self.embedding._tpu_embedding)
        else:
            tables = self.embedding.get_embedding_tables()
        return {_key(name): keras.ops.convert_to_numpy(table) for name, table in tables.items()}

    def set_tables(self, tables: Mapping[str, np.ndarray]) -> None:
        """Takes over tables, as `FieldEmbedding.get_tables` gives them: a warm start.

        On TPU call it under the strategy's scope.
        """
        self.definition.check_tables(tables)
        named = {_name(key): np.asarray(table) for key, table in tables.items()}
        if self.on_tpu:
            sparse_core.write_tables(self.embedding._tpu_embedding, named)
            return
        layers = self.embedding._default_device_embedding_layers
        own = {config.table.name: layers[path] for path, config in self.feature_configs().items()}
        for name, table in named.items():
            own[name].embeddings.assign(table)

    def save_own_variables(self, store: Any) -> None:
        for index, values in enumerate(stores_of(self.definition._stacks, self.get_tables())):
            store[str(index)] = values

    def load_own_variables(self, store: Any) -> None:
        stores = [np.asarray(store[str(index)]) for index in range(len(store.keys()))]
        self.set_tables(tables_of(self.definition._stacks, stores))

    def get_config(self) -> dict[str, Any]:
        if isinstance(self.optimizer, Mapping):
            optimizer: Any = {
                k: keras.saving.serialize_keras_object(v) for k, v in self.optimizer.items()
            }
        else:
            optimizer = keras.saving.serialize_keras_object(self.optimizer)
        return {
            **super().get_config(),
            "fields_layer": keras.saving.serialize_keras_object(self.definition),
            "batch_size": self.batch_size,
            "optimizer": optimizer,
            "placement": self.placement,
            "table_stacking": self.table_stacking,
        }


# Keras's files find a layer by the name of its class, and these are a `FieldEmbedding`'s.
TPUFieldEmbedding.__name__ = FieldEmbedding.__name__


def _name(key: str) -> str:
    # Table names go into the names of TPU variables, where a slash would not stand.
    return key.replace("/", "__", 1)


def _key(name: str) -> str:
    return name.replace("__", "/", 1)
