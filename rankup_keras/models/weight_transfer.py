"""Weights from model to model, wherever each keeps its tables."""

import contextlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from rankup_keras.features import FeatureSet
from rankup_keras.layers.embeddings.field_lookup import FieldLookup
from rankup_keras.layers.towers import Task
from rankup_keras.models import vocabulary_digest
from rankup_keras.models.calibrated import Calibrated
from rankup_keras.models.frozen_layers import freeze
from rankup_keras.models.ranking_model import RankingModel


def rebuild(
    model: RankingModel,
    features: FeatureSet | None = None,
    tasks: Sequence[Task | str] | None = None,
) -> Any:
    """A model of the same class and settings with new weights, not compiled.

    Layers that were frozen by `trainable=False` are so in the new model.

    Args:
        model: the model to follow; of a `Calibrated` one its `base`.
        features: an adapted `FeatureSet`. Defaults to the model's own.
        tasks: list of tasks. Defaults to the model's own.

    Returns:
        The new model.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"ad": ["a", "b"], "user": ["x", "y"]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
    two_tasks = rk.models.rebuild(model, tasks=["click", "buy"])
    ```
    """
    if isinstance(model, Calibrated):
        model = model.base
    config = model.get_config()
    config.pop("vocabularies")
    frozen = config.pop("frozen", ())
    names = [[f.name for f in fs.features] for fs in (model.features, features or model.features)]
    if names[0] != names[1] and config.get("permutation") is not None:
        config["permutation"] = None  # it was drawn for the former fields
    config.update(features=features or model.features, tasks=tasks or model.tasks)
    return freeze(type(model)(**config), frozen)


def copy_to_host(model: RankingModel) -> RankingModel:
    """The same model with the same weights in this process's own memory, as for `export`.

    A model built in the scope of a `TPUStrategy` keeps its tables on the TPU, which a server
    does not have. Call this outside of the strategy's scope.

    Args:
        model: a trained model, on a TPU or not.

    Returns:
        A new model, not compiled, on the same `FeatureSet`.

    Raises:
        ValueError: it is called in the scope of a `TPUStrategy`.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    rows = {"ad": ["a", "b"], "user": ["x", "y"]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))  # on a TPU or not
    copy = rk.models.copy_to_host(model)
    assert np.allclose(copy.predict_on_batch(rows)["click"], model.predict_on_batch(rows)["click"])
    ```
    """
    if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        raise ValueError(
            "`copy_to_host` makes a model off the TPU: call it outside of the strategy's scope."
        )
    if isinstance(model, Calibrated):
        raise ValueError("`model` is calibrated: copy its `base`, and calibrate the copy.")
    copy = rebuild(model)
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
        ValueError: the models differ, and it names the first layer that does; or their
            vocabularies, and it names the features.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"ad": ["a", "b"], "user": ["x", "y"]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    source, target = (
        rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,)) for _ in range(2)
    )
    rk.models.copy_weights(source, target)
    print(target.predict_on_batch(rows)["click"] - source.predict_on_batch(rows)["click"])
    ```
    """
    vocabulary_digest.check_same(
        vocabulary_digest.description(target.features),
        vocabulary_digest.description(source.features),
        "The weights of `source`",
    )
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
