"""What all models share: raw rows in, one probability a task out."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.features import FeatureSet
from rankup_keras.features.columns import as_mapping, dataset_columns
from rankup_keras.layers.embeddings.field_lookup import FieldLookup
from rankup_keras.layers.towers import Task


def as_tasks(tasks: Sequence[Task | str]) -> list[Task]:
    """Tasks from tasks or their names."""
    if isinstance(tasks, str | Task):
        tasks = [tasks]
    result = [Task(task) if isinstance(task, str) else task for task in tasks]
    names = [task.name for task in result]
    if not result or len(set(names)) < len(names):
        raise ValueError(
            f"`tasks` must be tasks of different names, at least one. Received: {names}."
        )
    return result


class RankingModel(keras.Model):
    """A Functional Keras model that also knows its features and tasks.

    Its Keras inputs are the packed tensors of `FeatureSet`, its output a dict
    from task name to probability, float32 (batch, 1). `fit`, `evaluate` and
    `predict` take raw rows and encode them on the host; rows that are encoded
    already are taken as they are.

    Args:
        inputs: dict of Keras inputs, see `encoded_inputs`.
        outputs: dict from task name to a symbolic tensor (batch, 1).
        features: the adapted `FeatureSet`.
        tasks: list of `Task`.
        settings: the subclass's constructor arguments, for its config.
    """

    def __init__(
        self,
        inputs: dict[str, Any],
        outputs: dict[str, Any],
        features: FeatureSet,
        tasks: list[Task],
        settings: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        for task in tasks:
            if task.label in features:
                raise ValueError(
                    f"The label of task {task.name!r}, column {task.label!r}, is also a feature: "
                    "the model would read what it predicts. Take it out of the FeatureSet, or "
                    "name another column with `Task(name, label=...)`."
                )
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.features = features
        self.tasks = tasks
        self._settings = settings

    # Training

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configures training; see `keras.Model.compile`.

        Args:
            optimizer: as in Keras. Defaults to `"adam"`.
            loss: defaults to each task's own loss.
            loss_weights: defaults to each task's own weight.
            metrics: dict from task name to metrics; a list for every task to
                have; defaults to each task's own metrics, AUC and log loss.
            **kwargs: as in Keras.

        Raises:
            ValueError: an optimizer that wants the tables on a TPU trained in
                another way than `TPUTables` said.
        """
        if loss is None:
            loss = {task.name: task.loss() for task in self.tasks}
            loss_weights = loss_weights or {task.name: task.weight for task in self.tasks}
        if metrics is None:
            metrics = {task.name: task.metrics() for task in self.tasks}
        elif isinstance(metrics, list | tuple) and all(map(_is_metric, metrics)):
            metrics = {task.name: [_own(metric) for metric in metrics] for task in self.tasks}
        super().compile(
            optimizer=optimizer, loss=loss, loss_weights=loss_weights, metrics=metrics, **kwargs
        )
        for layer in self.layers:
            if isinstance(layer, FieldLookup):
                layer.check_compiled(self.optimizer)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as a saved model was; Keras skips models with a `compile` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Trains on raw rows; see `keras.Model.fit`.

        Args:
            x: raw rows: a dict of columns, a pandas frame, a pyarrow table,
                `(columns, labels)`, `(columns, labels, weights)`, or a batched `tf.data.Dataset` of
                `(columns, labels)`, of `(columns, labels, weights)`, or of
                columns that include the labels.
            y: dict from task name to labels, 0 or 1; an array where there is
                one task; `None` where `x` holds the labels.
            batch_size: rows in a batch, where `x` is no dataset. Defaults to 32.
            epochs: passes over the data. Defaults to 1.
            verbose: as in Keras.
            callbacks: as in Keras.
            validation_split: as in Keras, where `x` is no dataset.
            validation_data: in any of the forms of `x`.
            **kwargs: as in Keras.

        Raises:
            ValueError: a column is missing, a task has no labels, a label is
                not in [0, 1], or a strategy's replicas cannot share a batch.
            TypeError: a column has another type than its feature declares.
        """
        if isinstance(x, tuple) and len(x) == 3:
            x, y, kwargs["sample_weight"] = x
        x, y = self._encode_rows(x, y)
        if isinstance(x, tf.data.Dataset):
            # Keras would warn that it cannot shuffle a dataset, which nobody asked it to.
            kwargs.setdefault("shuffle", False)
        elif not isinstance(x, keras.utils.PyDataset):
            _check_shared(batch_size or 32, self.distribute_strategy.num_replicas_in_sync)
        if validation_data is not None:
            pair = validation_data if isinstance(validation_data, tuple) else (validation_data,)
            encoded = self._encode_rows(*pair[:2])
            validation_data = encoded[0] if encoded[1] is None else (*encoded, *pair[2:])
        return super().fit(
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            **kwargs,
        )

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluates on raw rows, in the forms that `fit` takes; see `keras.Model.evaluate`."""
        x, y = self._encode_rows(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Probabilities of raw rows: a dict from task name to float32 (rows, 1)."""
        encoded = self.encode(x)
        if isinstance(encoded, Mapping) and not len(next(iter(encoded.values()))):
            return {task.name: np.zeros((0, 1), np.float32) for task in self.tasks}
        return super().predict(encoded, *args, **kwargs)

    def encode(self, x: Any) -> Any:
        """Raw rows → the model's inputs; see `FeatureSet.encode`. Encoded rows pass through."""
        if isinstance(x, tf.data.Dataset):
            element = x.element_spec
            columns = element[0] if isinstance(element, tuple) else element
            return x if self._is_encoded(columns) else self.features.encode(x)
        if isinstance(x, keras.utils.PyDataset) or self._is_encoded(x):
            return x
        return self.features.encode(x)

    def _is_encoded(self, columns: Any) -> bool:
        return isinstance(columns, Mapping) and set(columns) == set(self.features.encoded_spec())

    def _encode_rows(self, x: Any, y: Any = None) -> tuple[Any, Any]:
        if isinstance(x, keras.utils.PyDataset):
            return x, y
        if isinstance(x, tf.data.Dataset):
            return self._encode_dataset(x), y
        if y is None and isinstance(x, tuple) and len(x) == 2:
            x, y = x
        x = as_mapping(x)
        if y is None:
            y = {task.name: x[task.label] for task in self.tasks if task.label in x}
        labels = self._named_labels(y)
        return self.encode(x), {name: _check_labels(name, v) for name, v in labels.items()}

    def _encode_dataset(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        element = dataset.element_spec
        dataset_columns(dataset)
        if isinstance(element, tuple):
            self._named_labels(element[1] if len(element) > 1 else {})

            def arrange(*item: Any) -> Any:
                return (item[0], self._label_columns(item[1]), *item[2:])
        else:
            given = {task.name: element[task.label] for task in self.tasks if task.label in element}
            self._named_labels(given)

            def arrange(*item: Any) -> Any:
                labels = {task.name: item[0][task.label] for task in self.tasks}
                return item[0], self._label_columns(labels)

        return self.encode(dataset.map(arrange, num_parallel_calls=tf.data.AUTOTUNE))

    def _label_columns(self, labels: Any) -> dict[str, tf.Tensor]:
        # (batch, 1), as the outputs are: not every Keras metric aligns the two by itself.
        return {
            name: _label_tensor(name, values) for name, values in self._named_labels(labels).items()
        }

    def _named_labels(self, labels: Any) -> Mapping[str, Any]:
        names = [task.name for task in self.tasks]
        if not isinstance(labels, Mapping):
            if len(names) > 1:
                raise ValueError(
                    f"Labels must be a dict with one entry for each task, {names}. "
                    f"Received: {type(labels).__name__}."
                )
            labels = {names[0]: labels}
        missing = [name for name in names if name not in labels]
        if missing:
            raise ValueError(
                f"Tasks {missing} have no labels. Labels are given for: {sorted(labels)}."
            )
        return {name: labels[name] for name in names}

    # Saving

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "features": keras.saving.serialize_keras_object(self.features),
            "tasks": [keras.saving.serialize_keras_object(task) for task in self.tasks],
            **self._settings,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "RankingModel":
        config = dict(config)
        config["features"] = keras.saving.deserialize_keras_object(config["features"])
        config["tasks"] = [keras.saving.deserialize_keras_object(t) for t in config["tasks"]]
        return cls(**config)


def _check_shared(batch_size: int, replicas: int) -> None:
    """Refuses batches of unequal parts, of which Keras would weigh every part alike."""
    if batch_size % replicas:
        raise ValueError(
            f"`batch_size` is the global one and must be divisible by the strategy's {replicas} "
            f"replicas. Received: batch_size={batch_size}. The next that is: "
            f"{batch_size + replicas - batch_size % replicas}."
        )


def _check_labels(name: str, labels: Any) -> np.ndarray:
    try:
        array = np.asarray(labels, dtype=np.float32)
    except (TypeError, ValueError):
        raise TypeError(
            f"Labels of task {name!r} must be numbers. Received: {labels!r:.80}."
        ) from None
    if array.ndim != 1 and array.shape[1:] != (1,):
        raise ValueError(
            f"Labels of task {name!r} must have shape (rows,) or (rows, 1). "
            f"Received shape {array.shape}."
        )
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        wrong = array[~((array >= 0) & (array <= 1))]
        raise ValueError(
            f"Labels of task {name!r} must lie in [0, 1]. Received {wrong.size} others, such as "
            f"{wrong.flat[0]}."
        )
    return array.reshape(-1, 1)


def _label_tensor(name: str, labels: tf.Tensor) -> tf.Tensor:
    if not (labels.dtype.is_floating or labels.dtype.is_integer or labels.dtype.is_bool):
        raise TypeError(
            f"Labels of task {name!r} must be numbers. Received dtype {labels.dtype.name}."
        )
    labels = tf.cast(labels, tf.float32)
    fine = tf.reduce_all((labels >= 0) & (labels <= 1))
    # No quotes: TensorFlow would escape them.
    message = f"Labels of task {name} must lie in [0, 1]. Received:"
    with tf.control_dependencies([tf.debugging.Assert(fine, [message, labels])]):
        return tf.reshape(labels, (-1, 1))


def _is_metric(metric: Any) -> bool:
    return isinstance(metric, str | keras.metrics.Metric) or callable(metric)


def _own(metric: Any) -> Any:
    """A metric's copy, so that no two tasks add to one count."""
    if isinstance(metric, keras.metrics.Metric):
        return type(metric).from_config(metric.get_config())
    return metric
