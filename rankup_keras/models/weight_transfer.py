"""Weights from model to model, wherever each keeps its tables."""

import contextlib
from typing import Any

import tensorflow as tf

from rankup_keras.layers.embeddings.field_lookup import FieldLookup
from rankup_keras.models.ranking_model import RankingModel


def off_tpu(model: RankingModel) -> RankingModel:
    """The same model with the same weights in this process's own memory, as for `export`.

    Call it outside of the strategy's scope.

    Args:
        model: a trained model, on a TPU or not.

    Returns:
        A new model, not compiled, on the same `FeatureSet`.

    Example:

    ```python
    model.fit(train)                                  # on a TPU
    rk.export(rk.models.off_tpu(model), "saved_models/ranker", warmup=valid)
    ```

    Raises:
        ValueError: it is called in the scope of a `TPUStrategy`.
    """
    if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        raise ValueError(
            "`off_tpu` makes a model off the TPU: call it outside of the strategy's scope."
        )
    config = {**model.get_config(), "features": model.features, "tasks": model.tasks}
    copy = type(model)(**config)
    copy_weights(model, copy)
    return copy


def copy_weights(source: RankingModel, target: RankingModel) -> None:
    """Writes a model's weights, tables included, into a model of the same configuration.

    Either may keep its tables on a TPU: it brings trained tables off a TPU, and
    into one for a warm start. What optimizers keep of the weights is not
    copied.

    Args:
        source: the model to read, built.
        target: the model to overwrite, built.

    Raises:
        ValueError: the models differ; it names the first layer that does.
    """
    if len(source.layers) != len(target.layers):
        raise ValueError(
            "`source` and `target` must be models of one configuration. "
            f"Received: {len(source.layers)} and {len(target.layers)} layers."
        )
    for ours, theirs in zip(source.layers, target.layers, strict=True):
        if isinstance(ours, FieldLookup) and isinstance(theirs, FieldLookup):
            with _scope(source):
                tables = ours.get_tables()
            with _scope(target):
                theirs.set_tables(tables)
            continue
        shapes = [[tuple(weight.shape) for weight in layer.weights] for layer in (ours, theirs)]
        if type(ours) is not type(theirs) or shapes[0] != shapes[1]:
            raise ValueError(
                "`source` and `target` must be models of one configuration. They differ in layer "
                f"'{ours.name}': {type(ours).__name__} with weights of shapes {shapes[0]}, "
                f"{type(theirs).__name__} with {shapes[1]}."
            )
        theirs.set_weights(ours.get_weights())


def _scope(model: RankingModel) -> Any:
    strategy = model.distribute_strategy
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return strategy.scope()
    return contextlib.nullcontext()
