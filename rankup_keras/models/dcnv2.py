"""DCNv2, to compare with."""

from collections.abc import Sequence
from typing import Any

import keras
import keras_rs

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.towers import Task, TaskTowers
from rankup_keras.models.embedded_row import EmbeddedRow, encoded_inputs, side_by_side
from rankup_keras.models.ranking_model import RankingModel, as_tasks
from rankup_keras.models.stack import plain


@serializable
class DCNv2(RankingModel):
    """Deep & cross network on the same features, tables and towers, to compare with.

    Cross layers (keras-rs's `FeatureCross`) and a deep network read the
    concatenated embeddings side by side; the towers read both.

    Args:
        features: adapted `FeatureSet`.
        tasks: list of `Task` or of names.
        num_crosses: int. Number of cross layers. Defaults to 2.
        cross_rank: int or `None`. Inner width of low-rank cross layers, `None`
            for full matrices.
        hidden_units: list of ints, the deep network. Defaults to (64, 64).
        embedding_dim: int. Width of embeddings that have none of their own.
            Defaults to 16.
        dropout: float. Dropout rate after each hidden layer. Defaults to 0.
        embedding_dropout: float. Dropout rate on the concatenated embeddings.
            Defaults to 0.
        embeddings_initializer: initializer of the tables, see `FieldEmbedding`.
        embeddings_regularizer: regularizer of the rows in a batch. Defaults to
            none.
        dtype: dtype policy of the layers. Defaults to Keras's global one.

    References:
        - DCN V2, arXiv 2008.13535.
    """

    def __init__(
        self,
        features: FeatureSet,
        tasks: Sequence[Task | str],
        num_crosses: int = 2,
        cross_rank: int | None = None,
        hidden_units: Sequence[int] = (64, 64),
        embedding_dim: int = 16,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        dtype: Any = None,
        name: str = "dcnv2",
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
        base = side_by_side(row.all_fields("shared")[0])
        if embedding_dropout:
            base = keras.layers.Dropout(embedding_dropout, dtype=policy, name="embedding_dropout")(
                base
            )
        crossed = base
        for index in range(num_crosses):
            crossed = keras_rs.layers.FeatureCross(
                projection_dim=cross_rank, name=f"cross_{index + 1}", dtype=policy
            )(base, crossed)
        deep = base
        for index, units in enumerate(hidden_units):
            deep = keras.layers.Dense(
                units, activation="relu", name=f"deep_{index + 1}", dtype=policy
            )(deep)
            if dropout:
                deep = keras.layers.Dropout(dropout, dtype=policy)(deep)
        pooled = keras.layers.Concatenate(name="pooling", dtype=policy)([crossed, deep])
        outputs = TaskTowers([task.name for task in task_list], name="towers", dtype=policy)(pooled)
        settings = {
            "num_crosses": num_crosses,
            "cross_rank": cross_rank,
            "hidden_units": hidden_units,
            "embedding_dim": embedding_dim,
            "dropout": dropout,
            "embedding_dropout": embedding_dropout,
            "embeddings_initializer": initializer,
            "embeddings_regularizer": regularizer,
            "dtype": policy.name,
        }
        super().__init__(inputs, outputs, features, task_list, plain(settings), name=name, **kwargs)
