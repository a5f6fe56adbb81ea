"""What all models share: raw rows in, one probability per task out."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from rankup_keras.compat.cloning import RefusesGraphClone
from rankup_keras.compat.optimizers import scale_by_rows
from rankup_keras.compat.trainer import (
    BuildsBeforeTracing,
    StepsFromAnyIterator,
    StepsOfBatches,
    evaluates_within_fit,
)
from rankup_keras.features import FeatureSet
from rankup_keras.features.graph_errors import plain_errors
from rankup_keras.layers.embeddings.field_lookup import FieldLookup
from rankup_keras.layers.towers import EntireSpace, Task
from rankup_keras.models import fit_arguments, vocabulary_digest
from rankup_keras.models.compiled_metrics import GroupedMetrics, check_losses, metrics_by_task
from rankup_keras.models.compiled_steps import CompiledSteps
from rankup_keras.models.frozen_layers import freeze, frozen_config
from rankup_keras.models.labels import check_name, check_no_features
from rankup_keras.models.lower_blocks import TrainsLowerBlocks
from rankup_keras.models.missing_labels import SkipsMissingLabels
from rankup_keras.models.optimizer_choice import (
    check_optimizer,
    default_optimizer,
    warn_of_dense_passes,
)
from rankup_keras.models.passes import check_passes
from rankup_keras.models.raw_rows import RawRows
from rankup_keras.models.step_devices import StepsWhereWeightsLie


class RankingModel(
    StepsWhereWeightsLie,
    BuildsBeforeTracing,
    StepsOfBatches,
    StepsFromAnyIterator,
    CompiledSteps,
    RefusesGraphClone,
    SkipsMissingLabels,
    TrainsLowerBlocks,
    vocabulary_digest.KnowsVocabularies,
    keras.Model,
):
    """A Functional Keras model that also knows its features and tasks.

    Its Keras inputs are the packed tensors of `FeatureSet`, its output a dict
    from task name to probability, float32 (batch, 1). `fit`, `evaluate`,
    `predict` and the methods on single batches take raw rows and encode them on
    the host; rows that are encoded already are taken as they are. A direct call
    takes encoded rows alone: `model(model.encode(rows))`.

    Rows are a dict of columns, a pandas frame, a pyarrow table, a batched
    `tf.data.Dataset`, a `keras.utils.PyDataset` or a Python generator. Labels
    stand among the columns, or follow them: `(columns, labels)` and
    `(columns, labels, weights)`.

    Args:
        inputs: dict of Keras inputs, as `features.encoded_spec()` names them.
        outputs: dict from task name to a symbolic tensor (batch, 1).
        features: the adapted `FeatureSet`.
        tasks: list of `Task`.
        settings: the subclass's constructor arguments, for its config.

    Example:

    ```python
    import keras
    import rankup_keras as rk

    rows = {"ad": ["a", "b", "a", "c"], "click": [1, 0, 1, 0]}
    features = rk.FeatureSet([rk.Categorical("ad")]).adapt(rows)

    class LogisticRegression(rk.models.RankingModel):
        def __init__(self, features, tasks, name="logistic", **kwargs):
            ids = keras.Input((1,), dtype="int32", name="encoded_ids")
            score = rk.layers.FieldEmbedding(features.tables(), features.fields(), 1)(ids)["shared"]
            outputs = rk.layers.TaskTowers([task.name for task in tasks])(score)
            super().__init__({"encoded_ids": ids}, outputs, features, tasks, {}, name=name)

    model = LogisticRegression(features, [rk.Task("click")])
    model.compile()
    model.fit(rows, epochs=2, verbose=0)
    print(model.predict({"ad": ["a", "never seen"]}, verbose=0)["click"])
    ```
    """

    _in_entire_space = False  # whether the outputs are products already

    def __init__(
        self,
        inputs: dict[str, Any],
        outputs: dict[str, Any],
        features: FeatureSet,
        tasks: list[Task],
        settings: dict[str, Any],
        **kwargs: Any,
    ) -> None:
        check_no_features(tasks, features)
        check_name(kwargs.get("name"))
        after = {task.name: task.after for task in tasks if task.after is not None}
        if after and not self._in_entire_space:
            outputs = EntireSpace(after, name="entire_space")(outputs)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        if "dtype" in settings:
            # By it `compile` scales the loss, and an export chooses its tolerance.
            self.dtype_policy = settings["dtype"]
        self.features = features
        self.tasks = tasks
        self._settings = settings
        self._rows = RawRows(features, tasks)

    @classmethod
    def from_preset(
        cls, preset: str, features: FeatureSet, tasks: Sequence[Task | str], **overrides: Any
    ) -> "RankingModel":
        """Builds a model of this class from a named configuration; see `rankup_keras.from_preset`.

        Raises:
            ValueError: an unknown name, or a preset of another class.
        """
        from rankup_keras.models.presets import build_preset

        return build_preset(preset, cls, features, tasks, overrides)

    # Training

    def compile(
        self,
        optimizer: Any = None,
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        rows_per_pass: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Configures training; see `keras.Model.compile`.

        Args:
            optimizer: as in Keras. Defaults to `Split("lazy_adam", "adam")`, whose step
                costs what the batch's rows cost. A Keras optimizer passes over every row of
                the tables at every step, with a warning from 100,000 rows on.
            loss: defaults to each task's own loss.
            loss_weights: defaults to each task's own weight.
            metrics: dict from task name to metrics; a list for every task to
                have; defaults to each task's own metrics, AUC and log loss. The names
                `"auc"`, `"calibration"`, `"log_loss"` and `"ne"` are those of
                `rankup_keras.metrics`, other names those of Keras.
            weighted_metrics: the same, of metrics that count sample weights.
                Defaults to none.
            rows_per_pass: rows that go through the layers at once in training, less than a
                batch where its activations take too much memory, as of long sequences. The
                step is that of the whole batch, for losses that are means over rows; dropout
                and losses of layers are drawn and taken per pass. Defaults to all.
            **kwargs: as in Keras. With `jit_compile` XLA compiles what lies behind the tables, on
                full batches; `"auto"`, the default, does so on GPUs. With `prefetch_to_device=True`
                a thread copies the next two batches to the GPU while a step runs; ids stay on the
                host. Defaults to `False`: its gain has not been measured on a GPU yet.

        Raises:
            ValueError: an optimizer that wants the tables on a TPU trained in
                another way than `TPUTables` said, a metric that is not there or of a task that is
                not, a `GAUC` of a feature that is not there, weights in half precision, or
                `rows_per_pass` that is not positive or with a loss that is no mean over rows.
        """
        check_optimizer(optimizer, self)
        check_losses(loss, loss_weights, self.tasks)
        if loss is None:
            loss = {task.name: task.loss for task in self.tasks}
            loss_weights = loss_weights or {task.name: task.weight for task in self.tasks}
        if metrics is None:
            metrics = {task.name: task.metrics() for task in self.tasks}
        if rows_per_pass is not None:
            check_passes(rows_per_pass, loss, self._rows.labels.skipping)
        with self.distribute_strategy.scope():
            metrics = metrics_by_task(metrics, self.tasks)
            weighted_metrics = metrics_by_task(weighted_metrics, self.tasks)
        super().compile(
            optimizer=default_optimizer(self) if optimizer is None else optimizer,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            rows_per_pass=rows_per_pass,
            **kwargs,
        )
        warn_of_dense_passes(self)
        scale_by_rows(self.optimizer)
        with self.distribute_strategy.scope():
            self._grouped = GroupedMetrics([metrics, weighted_metrics], self.features)
        for layer in self.layers:
            if isinstance(layer, FieldLookup):
                layer.check_compiled(self.optimizer)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as a saved model was; Keras skips models with a `compile` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        self._grouped.read(x)
        return super().compute_metrics(x, y, y_pred, sample_weight)

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
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Trains on raw rows; see `keras.Model.fit`.

        Args:
            x: rows, in any of the forms that the class names.
            y: dict from task name to labels, 0 or 1; an array where there is
                one task; `None` where `x` holds the labels.
            batch_size: rows per batch, where `x` is in memory. Defaults to 32.
            epochs: passes over the data. Defaults to 1.
            verbose: as in Keras.
            callbacks: as in Keras.
            validation_split: as in Keras, where `x` is in memory.
            validation_data: in any of the forms of `x`.
            class_weight: dict from label, 0 and 1, to the weight of its rows in training,
                where there is one task. Defaults to 1 for both.
            sample_weight: of rows in memory, (rows,) or (rows, 1), or a dict of such by task name.
            **kwargs: as in Keras.

        Raises:
            ValueError: a column is missing, a task has no labels, a label is
                not in [0, 1], labels or weights are not one per row, `class_weight` with
                several tasks, a generator to be read twice, ids beyond `num_ids` of rows in
                memory, or a strategy's replicas cannot share a batch.
            TypeError: a column has another type than its feature declares.
        """
        fit_arguments.check_split(validation_split)
        fit_arguments.check_passes_over(x, validation_data, epochs, kwargs)
        x, y, sample_weight = self._rows.examples(x, y, sample_weight, class_weight)
        if isinstance(x, Mapping):
            replicas = self.distribute_strategy.num_replicas_in_sync
            fit_arguments.check_rows(self.features, x, batch_size or 32, replicas)
        elif not isinstance(x, keras.utils.PyDataset):
            # Keras would warn that it cannot shuffle these, which nobody asked it to.
            kwargs.setdefault("shuffle", False)
        if validation_data is not None:
            validation_data = self._rows.examples(validation_data)
        elif validation_split and class_weight is not None:
            (x, y, sample_weight), validation_data = fit_arguments.split_rows(
                x, y, sample_weight, validation_split
            )
            validation_split = 0.0
        with plain_errors():
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                sample_weight=sample_weight,
                **kwargs,
            )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Evaluates on raw rows, in the forms that `fit` takes; see `keras.Model.evaluate`."""
        if not evaluates_within_fit(kwargs):
            x = fit_arguments.ending(x, kwargs.get("steps"))
            x, y, sample_weight = self._rows.examples(x, y, sample_weight)
        with plain_errors():
            return super().evaluate(x, y, batch_size, verbose, sample_weight, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Probabilities of raw rows: a dict from task name to float32 (rows, 1)."""
        encoded = self.encode(fit_arguments.ending(x, kwargs.get("steps") or any(args[2:3])))
        with plain_errors():
            return self._of_no_rows(encoded) or super().predict(encoded, *args, **kwargs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on raw rows in memory; see `keras.Model.train_on_batch`."""
        x, y, sample_weight = self._rows.batch(x, y, sample_weight, class_weight)
        found = super().train_on_batch(x, y, sample_weight, return_dict=return_dict)
        return self._grouped.results(self, found, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Loss and metrics of raw rows in memory; see `keras.Model.test_on_batch`."""
        x, y, sample_weight = self._rows.batch(x, y, sample_weight)
        found = super().test_on_batch(x, y, sample_weight, return_dict=return_dict)
        return self._grouped.results(self, found, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """`predict` of one batch of raw rows in memory."""
        encoded = self.encode(x)
        return self._of_no_rows(encoded) or super().predict_on_batch(encoded)

    def _of_no_rows(self, encoded: Any) -> dict[str, np.ndarray] | None:
        if not isinstance(encoded, Mapping) or len(next(iter(encoded.values()))):
            return None
        return {task.name: np.zeros((0, 1), np.float32) for task in self.tasks}

    def encode(self, x: Any) -> Any:
        """Raw rows → the model's inputs; see `FeatureSet.encode`. Encoded rows pass through."""
        return self._rows.inputs(x)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # Before Keras checks names and ranks, of which it says nothing that helps here.
        names = {tensor.name for tensor in self.inputs}
        if not isinstance(inputs, Mapping) or set(inputs) != names:
            received = sorted(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
            raise ValueError(
                f"A direct call takes encoded rows, a dict of {sorted(names)}: "
                f"`model(model.encode(rows))`. `predict` takes raw rows. Received: {received}."
            )
        return super().__call__(inputs, *args, **kwargs)

    # Saving

    def export(
        self,
        path: str | os.PathLike,
        *args: Any,
        format: str = "tf_saved_model",  # noqa: A002 (as Keras calls it)
        **kwargs: Any,
    ) -> Any:
        """Writes a checked version directory for TensorFlow Serving; see `rankup_keras.export`.

        Args:
            path: the model's base path.
            *args: those of `rankup_keras.export`.
            format: `"tf_saved_model"`, the only one that holds the preprocessing of raw columns.
            **kwargs: those of `rankup_keras.export`.

        Returns:
            The version directory.

        Raises:
            ValueError: another `format`.
        """
        from rankup_keras.serving import export

        if format != "tf_saved_model":
            raise ValueError(
                "`format` must be 'tf_saved_model': other formats have no place for the "
                f"preprocessing of raw columns. Received: format={format!r}."
            )
        return export(self, path, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        vocabulary_digest.refuse_hdf5()
        return {
            "name": self.name,
            "features": keras.saving.serialize_keras_object(self.features),
            "tasks": [keras.saving.serialize_keras_object(task) for task in self.tasks],
            "vocabularies": vocabulary_digest.digests(self.features),
            **self._settings,
            **frozen_config(self),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "RankingModel":
        """A model of new weights, with the vocabularies where they live in this process."""
        config = dict(config)
        frozen = config.pop("frozen", ())
        vocabularies = config.pop("vocabularies", {})
        config["features"] = keras.saving.deserialize_keras_object(config["features"])
        config["tasks"] = [keras.saving.deserialize_keras_object(t) for t in config["tasks"]]
        vocabulary_digest.adopt(config["features"], vocabularies)
        return freeze(cls(**config), frozen)
