"""Parameters and operations of a configuration, by part, before anything is allocated."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.features import FeatureSet
from rankup_keras.layers.dot_interaction import DotInteraction
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.layers.mixers import (
    FullMixing,
    GramMixing,
    PerTokenMoE,
    TokenAttention,
    UniMixing,
)
from rankup_keras.layers.tokens import PerTokenDense, SliceTokenizer, TargetAttention
from rankup_keras.layers.towers import Task
from rankup_keras.models.ranking_model import RankingModel


@dataclasses.dataclass(frozen=True)
class Part:
    """One layer of the graph: name, number of parameters, and FLOPs per sample as `cost` counts."""

    name: str
    parameters: int
    flops: int


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a model costs; `print` shows it by part.

    Args:
        parts: one part per layer that has parameters or FLOPs.

    Example:

    ```python
    from rankup_keras.models import Cost
    from rankup_keras.models.model_cost import Part

    found = Cost((Part("embeddings", parameters=100, flops=0), Part("towers", 9, 16)))
    assert (found.parameters, found.dense_parameters, found.flops) == (109, 9, 16)
    print(found)
    ```
    """

    parts: tuple[Part, ...]

    @property
    def parameters(self) -> int:
        """All parameters, embedding tables included."""
        return sum(part.parameters for part in self.parts)

    @property
    def dense_parameters(self) -> int:
        """Parameters outside the embedding tables."""
        return sum(part.parameters for part in self.parts if part.name != "embeddings")

    @property
    def block_parameters(self) -> int:
        """Parameters of the blocks, which papers give as the size of a model."""
        return sum(part.parameters for part in self.parts if part.name.startswith("block_"))

    @property
    def flops(self) -> int:
        """Operations of all matrix products, forward, for one sample."""
        return sum(part.flops for part in self.parts)

    def __str__(self) -> str:
        rows = [("part", "parameters", "FLOPs per sample")]
        rows += [(part.name, f"{part.parameters:,}", f"{part.flops:,}") for part in self.parts]
        rows.append(("total", f"{self.parameters:,}", f"{self.flops:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            f"{name.ljust(widths[0])}  {a.rjust(widths[1])}  {b.rjust(widths[2])}"
            for name, a, b in rows
        )


def cost(
    model: Callable[..., RankingModel],
    features: FeatureSet,
    tasks: Sequence[Task | str],
    **settings: Any,
) -> Cost:
    """Parameters and FLOPs of a forward pass for inference, by part, without making weights.

    Matrix products are counted, a multiplication and an addition as two FLOPs;
    element-wise work, lookups and the sums inside norms are not, as is usual. A
    mixture of experts counts with all experts active; multiply by the active
    share for what sparse inference needs.

    Args:
        model: a model class, such as `RankUp`.
        features: the adapted `FeatureSet`, which stays free for other models.
        tasks: list of `Task` or of task names.
        **settings: the model's further arguments.

    Returns:
        A `Cost`.

    Raises:
        ValueError: it is called in the scope of a `TPUStrategy`, where building
            a model makes tables on the TPU.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("user", num_ids=9), rk.Categorical("item", num_ids=9)])
    found = rk.models.cost(rk.RankMixer, features, ["click"], token_dim=768, num_tokens=16)
    print(f"{found.block_parameters:,} parameters, {found.flops:,} FLOPs per sample")
    ```
    """
    if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        raise ValueError("Call `cost` outside of the TPUStrategy's scope: it makes no tables.")
    # The same graph as the model's own, its variables never given values.
    sketch = FeatureSet.from_config(features.get_config())
    with keras.StatelessScope(initialize_variables=False):
        built = model(sketch, tasks, **settings)
    return measure(built)


def measure(model: keras.Model) -> Cost:
    """Cost of a model that is built already, counted as `cost` does.

    Args:
        model: any Functional model; layers it does not know count no FLOPs.

    Example:

    ```python
    import keras
    import rankup_keras as rk

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert rk.models.measure(model).parameters == 8
    ```
    """
    parts = []
    for layer in model.layers:
        # Layers over events count themselves: what is inside runs once per event.
        flops = getattr(layer, "flops", None)
        if flops is None:
            flops = sum(_flops(part) for part in nested_layers(layer, include_self=True))
        if layer.weights or flops:
            parts.append(Part(layer.name, layer.count_params(), flops))
    # Of auxiliary losses, which inference does not compute.
    heads = getattr(model, "auxiliary_heads", [])
    parts += [Part(head.name, head.count_params(), 0) for head in heads]
    return Cost(tuple(parts))


def _size(weight: Any) -> int:
    return math.prod(weight.shape)


def _full_mixing(layer: FullMixing) -> int:
    if layer.form == "dense":
        return 2 * _size(layer.kernel)
    if layer.form == "low_rank":
        return 2 * (_size(layer.kernel_in) + _size(layer.kernel_out))
    tokens, width = layer.kernel_tokens.shape[1], layer.kernel_width.shape[1]
    return 2 * (_size(layer.kernel_tokens) * width + _size(layer.kernel_width) * tokens)


def _slice_tokenizer(layer: SliceTokenizer) -> int:
    # A shared projection runs once per token, and is counted once as a layer of its own.
    return 2 * _size(layer.projection.kernel) * (layer.num_tokens - 1) if layer.shared else 0


def _moe(layer: PerTokenMoE) -> int:
    # Its batched products are layers of their own. Left are gates times biases; and the router
    # of training, which inference does not run.
    idle = 2 * _size(layer.training_router.kernel) if layer.two_routers else 0
    return 2 * _size(layer.expert_bias) - idle


def _uni_mixing(layer: UniMixing) -> int:
    # Its matrices are made once for all rows.
    count, size = layer.sizes
    return 2 * count * size * (size + count)


def _attention(layer: TokenAttention) -> int:
    # The projections are a layer of their own.
    tokens, width = layer.lift.kernel.shape[:2]
    return 2 * tokens * width * (width + 2 * (tokens + layer.num_tasks))


def _gram_mixing(layer: GramMixing) -> int:
    width = layer.kernel.shape[0]
    return 2 * layer.num_tokens * width * (width + 2 * layer.num_tokens)


def _bags(layer: FieldEmbedding) -> int:
    """Sums of several rows per field, which are products of weights and rows."""
    groups = [(group, stack.width) for stack in layer.stacks for group in stack.bags]
    return sum(2 * group.fields * group.length * width for group, width in groups)


def _dense(layer: Any) -> int:
    return 2 * _size(layer.kernel)


_COUNTS: tuple[tuple[type, Callable[[Any], int]], ...] = (
    (FieldEmbedding, _bags),
    (PerTokenDense, _dense),
    (keras.layers.Dense, _dense),
    (FullMixing, _full_mixing),
    (SliceTokenizer, _slice_tokenizer),
    (PerTokenMoE, _moe),
    (UniMixing, _uni_mixing),
    (TokenAttention, _attention),
    (GramMixing, _gram_mixing),
    (DotInteraction, lambda layer: 2 * layer.fields * layer.input.shape[-1]),
    (TargetAttention, lambda layer: 2 * (_size(layer.query) + _size(layer.key))),
)


def _flops(layer: Any) -> int:
    return sum(count(layer) for kind, count in _COUNTS if isinstance(layer, kind))
