"""The same fields on a TPU's own embedding hardware, by keras-rs."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.embeddings import layout as layout_lib
from rankup_keras.embeddings import lookup, sparse_core
from rankup_keras.embeddings.field_embedding import FieldEmbedding
from rankup_keras.features.spec import FieldSpec

TPU_OPTIMIZERS = (
    keras.optimizers.SGD,
    keras.optimizers.Adagrad,
    keras.optimizers.Adam,
    keras.optimizers.Ftrl,
)


def tpu_optimizer(optimizer: Any, table: str) -> Any:
    """The optimizer for one table, in a form that the TPU has.

    A `Split` counts by its tables' part. The TPU's Adam is lazy, as `LazyAdam` is.
    """
    if isinstance(optimizer, Mapping):
        if table not in optimizer:
            raise ValueError(
                f"`optimizer` has no entry for table '{table}', only {sorted(optimizer)[:20]}."
            )
        optimizer = optimizer[table]
    optimizer = getattr(optimizer, "embeddings", optimizer)
    if not isinstance(optimizer, (str, *TPU_OPTIMIZERS)):
        raise ValueError(
            f"Table '{table}' cannot be trained by {type(optimizer).__name__} on a TPU, whose "
            "embedding hardware has SGD, Adagrad, Adam (lazy) and Ftrl."
        )
    return optimizer


@serializable
class TPUFieldEmbedding(keras.layers.Layer):
    """`FieldEmbedding` on TPU embedding hardware (TPUEmbedding on v2 to v4, SparseCore from v5p).

    Takes the definitions of a `FieldEmbedding` and gives the same outputs, by
    `keras_rs.layers.DistributedEmbedding`: each table of each set is a table
    there, stacked by the TPU's compiler, and trained by the TPU itself with
    the optimizer given here; the optimizer of `compile` sees the dense part
    only. All tables use the combiner `"sum"`, weighted by this layer, so that
    padding, empty lists and fields of different combiners on one table mean
    what they mean in `FieldEmbedding`. A sequence is one feature a slot.

    Make it under a `TPUStrategy`. Off TPU (`placement="default_device"`) it is
    slow and serves to check a model.

    Args:
        fields_layer: the `FieldEmbedding` (or its config) whose definitions it
            takes. Its weights are not shared; see `set_tables`.
        batch_size: the global batch size; TPU shapes are static.
        optimizer: for all tables, or a dict from a table's name to its own.
            SGD, Adagrad, Adam or Ftrl, of Keras or of
            `rankup_keras.optimizers`. Defaults to `"adagrad"`.
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
        given: Any = fields_layer
        if isinstance(given, Mapping):
            given = keras.saving.deserialize_keras_object(given)
        # A layer of its own without weights: those of the one given would be
        # saved and trained. XLA has no strings, so no checks that name a field.
        config = given.get_config()
        validate = given.validate and placement == "default_device"
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
        self.table_stacking = table_stacking
        self.embedding = self._distributed()

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
                    initializer=layer.embeddings_initializer,
                    optimizer=tpu_optimizer(self.optimizer, field.table),
                    combiner="sum",
                    placement=self.placement,
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

        return keras_rs.layers.DistributedEmbedding(
            self.feature_configs(), table_stacking=self.table_stacking, name="tables"
        )

    def build(self, input_shape: Any = None) -> None:
        configs = self.feature_configs()
        self.embedding.build({name: config.input_shape for name, config in configs.items()})
        self.built = True

    def call(self, ids: Any, weights: Any = None) -> dict[str, Any]:
        ids = self.definition.checked(ids)
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

    def _coefficients(self, ids: tf.Tensor, weights: Any, field: FieldSpec) -> tf.Tensor:
        """(batch, slots) floats: what each slot counts for."""
        if field.kind == "sequence":
            own = ids[:, field.start : field.start + field.slots]
            return tf.cast(own > 0, tf.float32) / field.hashes
        group = layout_lib.bag_group(field.slots, [field])
        return lookup.bag_coefficients(ids, weights, group, tf.float32)[:, 0]

    def compute_output_spec(self, ids: Any, weights: Any = None) -> dict[str, Any]:
        return self.definition.compute_output_spec(ids, weights)

    @property
    def _sparse_cores(self) -> Any:
        """The `TPUEmbeddingV2` underneath; nothing where tables lie on the default device."""
        embedding = getattr(self.embedding, "_tpu_embedding", None)
        if embedding is not None and not hasattr(embedding, "embedding_layouts"):
            raise ValueError(
                "TPU v2 to v4 keep their tables out of reach; save the model and load it off TPU "
                "to copy them."
            )
        return embedding

    def get_tables(self) -> dict[str, np.ndarray]:
        """Tables as `set/table` → (rows, width), as `FieldEmbedding.set_tables` takes them.

        On TPU call it under the strategy's scope.
        """
        if self._sparse_cores is not None:
            # Not by keras-rs, which looks for a table's name where stacks have theirs.
            tables = sparse_core.read_tables(self._sparse_cores)
        else:
            tables = self.embedding.get_embedding_tables()
        return {_key(name): keras.ops.convert_to_numpy(table) for name, table in tables.items()}

    def set_tables(self, tables: Mapping[str, np.ndarray]) -> None:
        """Takes over tables, as `FieldEmbedding.get_tables` gives them: a warm start.

        On TPU call it under the strategy's scope.
        """
        self.definition.check_tables(tables)
        named = {_name(key): np.asarray(table) for key, table in tables.items()}
        if self._sparse_cores is not None:
            sparse_core.write_tables(self._sparse_cores, named)
            return
        layers = self.embedding._default_device_embedding_layers
        own = {config.table.name: layers[path] for path, config in self.feature_configs().items()}
        for name, table in named.items():
            own[name].embeddings.assign(table)

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


def _name(key: str) -> str:
    # Table names go into the names of TPU variables, where a slash would not stand.
    return key.replace("/", "__", 1)


def _key(name: str) -> str:
    return name.replace("__", "/", 1)
