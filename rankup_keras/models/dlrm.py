"""DLRM, to compare with."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.towers import Task, TaskTowers
from rankup_keras.models.dot_interaction import DotInteraction
from rankup_keras.models.embedded_row import EmbeddedRow, encoded_inputs, side_by_side
from rankup_keras.models.ranking_model import RankingModel, as_tasks
from rankup_keras.models.stack import plain


@serializable
class DLRM(RankingModel):
    """Deep learning recommendation model on the same features and tables, to compare with.

    The numeric columns become one vector through a bottom network; the dot
    products of all pairs of vectors (in the order of keras-rs's `DotInteraction`) and that
    vector feed a top network.

    Args:
        features: adapted `FeatureSet`, all of whose tables have one width.
        tasks: list of `Task` or of names.
        bottom_units: list of ints, hidden layers of the bottom network.
            Defaults to (64,).
        top_units: list of ints, the top network. Defaults to (64, 64).
        embedding_dim: int. Width of all tables. Defaults to 16.
        dropout: float. Dropout rate after each layer of the top network.
            Defaults to 0.
        embedding_dropout: float. Dropout rate on the embeddings. Defaults to 0.
        embeddings_initializer: initializer of the tables, see `FieldEmbedding`.
        embeddings_regularizer: regularizer of the rows in a batch. Defaults to
            none.
        dtype: dtype policy of the layers. Defaults to Keras's global one.

    Raises:
        ValueError: tables of several widths, which have no dot products.

    References:
        - DLRM, arXiv 1906.00091.
    """

    def __init__(
        self,
        features: FeatureSet,
        tasks: Sequence[Task | str],
        bottom_units: Sequence[int] = (64,),
        top_units: Sequence[int] = (64, 64),
        embedding_dim: int = 16,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        dtype: Any = None,
        name: str = "dlrm",
        **kwargs: Any,
    ) -> None:
        task_list = as_tasks(tasks)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        initializer = keras.initializers.get(embeddings_initializer)
        regularizer = keras.regularizers.get(embeddings_regularizer)
        features.freeze(name)
        inputs = encoded_inputs(features)
        row = EmbeddedRow(
            features,
            inputs,
            ["shared"],
            embedding_dim,
            policy,
            embeddings_initializer=initializer,
            embeddings_regularizer=regularizer,
        )
        pieces, dims = row.pooled("shared")
        if set(dims) - {embedding_dim}:
            raise ValueError(
                "DLRM takes dot products of embeddings, which must all be `embedding_dim` wide. "
                f"Received: embedding_dim={embedding_dim}, widths {sorted(set(dims))}."
            )
        x = side_by_side(pieces)
        if embedding_dropout:
            x = keras.layers.Dropout(embedding_dropout, dtype=policy, name="embedding_dropout")(x)
        bottom = []
        if "encoded_numeric" in inputs:
            dense = inputs["encoded_numeric"]
            for index, units in enumerate([*bottom_units, embedding_dim]):
                dense = keras.layers.Dense(
                    units, activation="relu", name=f"bottom_{index + 1}", dtype=policy
                )(dense)
            bottom = [dense]
        dots = DotInteraction(len(dims) + len(bottom), name="interaction", dtype=policy)(
            side_by_side([x, *bottom])
        )
        top = side_by_side([dots, *bottom, *row.vectors().values()])
        for index, units in enumerate(top_units):
            top = keras.layers.Dense(
                units, activation="relu", name=f"top_{index + 1}", dtype=policy
            )(top)
            if dropout:
                top = keras.layers.Dropout(dropout, dtype=policy)(top)
        outputs = TaskTowers([task.name for task in task_list], name="towers", dtype=policy)(top)
        settings = {
            "bottom_units": bottom_units,
            "top_units": top_units,
            "embedding_dim": embedding_dim,
            "dropout": dropout,
            "embedding_dropout": embedding_dropout,
            "embeddings_initializer": initializer,
            "embeddings_regularizer": regularizer,
            "dtype": policy.name,
        }
        super().__init__(inputs, outputs, features, task_list, plain(settings), name=name, **kwargs)
