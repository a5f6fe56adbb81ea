"""Parameters and operations of a configuration, by part, before anything is allocated."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.features import FeatureSet
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.layers.mixers import FullMixing, PerTokenMoE
from rankup_keras.layers.tokens import PerTokenDense, SliceTokenizer, TargetAttention
from rankup_keras.layers.towers import Task
from rankup_keras.models.dot_interaction import DotInteraction
from rankup_keras.models.ranking_model import RankingModel


@dataclasses.dataclass(frozen=True)
class Part:
    """One layer of the graph.

    Attributes:
        name: the layer's name.
        parameters: number of its parameters.
        flops: floating-point operations of its matrix products for one sample,
            forward, a multiplication and an addition counting as two.
    """

    name: str
    parameters: int
    flops: int


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a configuration costs; `print` shows it by part."""

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
        rows = [("part", "parameters", "FLOPs a sample")]
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

    Counted are matrix products; element-wise work, look-ups and the sums inside
    norms are not, as is usual. A mixture of experts counts with all experts
    active; multiply by the active share for what sparse inference needs.

    Args:
        model: a model class, such as `RankUp`.
        features: the adapted `FeatureSet`, which may serve for models still.
        tasks: list of `Task` or of names.
        **settings: the model's further arguments.

    Example:

    ```python
    print(rankup_keras.models.cost(rankup_keras.RankMixer, features, ["click"], token_dim=768,
                                   num_tokens=16, expansion=17 / 6))
    ```

    Raises:
        ValueError: it is called in the scope of a `TPUStrategy`, where building
            a model makes tables on the TPU.
    """
    if isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy):
        raise ValueError("Call `cost` outside of the TPUStrategy's scope: it makes no tables.")
    # The same graph as the model's own, its variables never given values.
    sketch = FeatureSet.from_config(features.get_config())
    with keras.StatelessScope(initialize_variables=False):
        built = model(sketch, tasks, **settings)
    return measure(built)


def measure(model: keras.Model) -> Cost:
    """Cost of a model that is there, counted in the same way."""
    parts = []
    for layer in model.layers:
        flops = sum(_flops(part) for part in layer._flatten_layers())
        if layer.weights or flops:
            parts.append(Part(layer.name, layer.count_params(), flops))
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
    # A shared projection runs once a token, and is counted once as a layer of its own.
    return 2 * _size(layer.projection.kernel) * (layer.num_tokens - 1) if layer.shared else 0


def _moe(layer: PerTokenMoE) -> int:
    # Its batched products are layers of their own. Left are gates times biases; and the router
    # of training, which inference does not run.
    idle = 2 * _size(layer.training_router.kernel) if layer.two_routers else 0
    return 2 * _size(layer.expert_bias) - idle


def _dot_interaction(layer: DotInteraction) -> int:
    return 2 * layer.fields * layer.input.shape[-1]


def _bags(layer: FieldEmbedding) -> int:
    """Sums of multi-valued fields, which are products of weights and rows."""
    groups = [(group, stack.width) for stack in layer.stacks for group in stack.bags]
    return sum(2 * group.fields * group.length * width for group, width in groups)


def _attention(layer: TargetAttention) -> int:
    return 2 * (_size(layer.query) + _size(layer.key))


_COUNTS: tuple[tuple[type, Callable[[Any], int]], ...] = (
    (FieldEmbedding, _bags),
    (PerTokenDense, lambda layer: 2 * _size(layer.kernel)),
    (keras.layers.Dense, lambda layer: 2 * _size(layer.kernel)),
    (FullMixing, _full_mixing),
    (SliceTokenizer, _slice_tokenizer),
    (PerTokenMoE, _moe),
    (DotInteraction, _dot_interaction),
    (TargetAttention, _attention),
)


def _flops(layer: Any) -> int:
    return sum(count(layer) for kind, count in _COUNTS if isinstance(layer, kind))
