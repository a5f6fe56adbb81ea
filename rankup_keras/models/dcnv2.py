"""DCNv2, to compare with."""

from collections.abc import Sequence
from typing import Any

import keras
import keras_rs

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.towers import Task, TaskTowers
from rankup_keras.models.arguments import as_config, settings_of, with_shared_arguments
from rankup_keras.models.embedded_row import EmbeddedRow
from rankup_keras.models.labels import as_tasks
from rankup_keras.models.ranking_model import RankingModel
from rankup_keras.models.stack import dense_stack


@with_shared_arguments
@serializable
class DCNv2(RankingModel):
    """Deep & cross network on the same features, tables and towers, to compare with.

    Cross layers, `x_{l+1} = x_0 * (W_l x_l + b_l) + x_l` (keras-rs's
    `FeatureCross`), and a deep network read the concatenated embeddings side
    by side; one tower per task reads both.

    Args:
        features: adapted `FeatureSet`.
        tasks: list of `Task` or of task names.
        num_crosses: int. Number of cross layers. Defaults to 2.
        cross_rank: int or `None`. Inner width of low-rank cross layers, `None`
            (default) for full matrices.
        hidden_units: list of ints, the deep network. Defaults to (64, 64).
        dropout: float. Dropout rate after each hidden layer. Defaults to 0.
        {shared}

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", num_ids=50), rk.Numeric("price")])
    rows = {"item": [3, 7], "price": [9.5, 20.0]}
    model = rk.DCNv2(features.adapt(rows), tasks=["click"], hidden_units=[8])
    model.predict(rows)["click"].shape  # (2, 1)
    ```

    References:
        - DCN V2, arXiv 2008.13535, equation 1.
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
        settings = settings_of(locals())
        task_list, policy = as_tasks(tasks), settings["dtype"]
        row = EmbeddedRow(features, settings)
        base = row.drop(row.all_fields().tensor)
        crossed = base
        for index in range(1, num_crosses + 1):
            cross = keras_rs.layers.FeatureCross(
                projection_dim=cross_rank, name=f"cross_{index}", dtype=policy
            )
            crossed = cross(base, crossed)
        deep = dense_stack(base, hidden_units, "deep", policy, dropout)
        pooled = keras.layers.Concatenate(name="pooling", dtype=policy)([crossed, deep])
        outputs = TaskTowers([task.name for task in task_list], name="towers", dtype=policy)(pooled)
        super().__init__(
            row.inputs, outputs, features, task_list, as_config(settings), name=name, **kwargs
        )
