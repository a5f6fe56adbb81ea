"""DLRM, to compare with."""

from collections.abc import Sequence
from typing import Any

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.dot_interaction import DotInteraction
from rankup_keras.layers.towers import Task, TaskTowers
from rankup_keras.models.arguments import as_config, settings_of, with_shared_arguments
from rankup_keras.models.embedded_row import EmbeddedRow, side_by_side
from rankup_keras.models.labels import as_tasks
from rankup_keras.models.ranking_model import RankingModel
from rankup_keras.models.stack import dense_stack


@with_shared_arguments
@serializable
class DLRM(RankingModel):
    """Deep learning recommendation model on the same features and tables, to compare with.

    The numeric columns become one vector through a bottom network; the dot
    products of all pairs of vectors (in the order of keras-rs's
    `DotInteraction`) and that vector feed a top network, whose output one
    tower per task reads.

    Args:
        features: adapted `FeatureSet`, all of whose tables have equal width.
        tasks: list of `Task` or of task names.
        bottom_units: list of ints, hidden layers of the bottom network.
            Defaults to (64,).
        top_units: list of ints, the top network. Defaults to (64, 64).
        dropout: float. Dropout rate after each layer of the top network.
            Defaults to 0.
        {shared}

    Raises:
        ValueError: tables differ in width, so that there are no dot products.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", num_ids=50), rk.Numeric("price")])
    rows = {"item": [3, 7], "price": [9.5, 20.0]}
    model = rk.DLRM(features.adapt(rows), tasks=["click"], top_units=[8])
    model.predict(rows)["click"].shape  # (2, 1)
    ```

    References:
        - DLRM, arXiv 1906.00091, section 2.
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
        settings = settings_of(locals())
        task_list, policy = as_tasks(tasks), settings["dtype"]
        row = EmbeddedRow(features, settings)
        fields = row.with_sequences()
        if set(fields.dims) - {embedding_dim}:
            raise ValueError(
                "DLRM takes dot products of embeddings, which must all be `embedding_dim` wide. "
                f"Received: embedding_dim={embedding_dim}, widths {sorted(set(fields.dims))}."
            )
        bottom = []
        if row.numbers:
            units = [*bottom_units, embedding_dim]
            bottom = [dense_stack(side_by_side(row.numbers), units, "bottom", policy)]
        if len(fields.dims) + len(bottom) < 2:
            raise ValueError(
                "DLRM takes dot products of pairs of vectors, one per categorical feature and one "
                f"of all numeric columns. Received {len(fields.dims)} categorical features and "
                f"{len(bottom)} vectors of numeric columns. DCNv2 takes any features."
            )
        dots = DotInteraction(len(fields.dims) + len(bottom), name="interaction", dtype=policy)(
            side_by_side([row.drop(fields.tensor), *bottom])
        )
        top = side_by_side([dots, *bottom, *row.vectors().values()])
        top = dense_stack(top, top_units, "top", policy, dropout)
        outputs = TaskTowers([task.name for task in task_list], name="towers", dtype=policy)(top)
        super().__init__(
            row.inputs, outputs, features, task_list, as_config(settings), name=name, **kwargs
        )
