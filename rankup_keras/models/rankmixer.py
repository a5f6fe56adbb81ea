"""RankMixer."""

from collections.abc import Sequence
from typing import Any

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.tokens import SliceTokenizer, TokenAssembly
from rankup_keras.layers.towers import Task, TaskTowers, TokenPooling
from rankup_keras.models import token_streams
from rankup_keras.models.arguments import as_config, settings_of, with_shared_arguments
from rankup_keras.models.embedded_row import EmbeddedRow
from rankup_keras.models.labels import as_tasks
from rankup_keras.models.layer_choice import LayerChoice
from rankup_keras.models.ranking_model import RankingModel
from rankup_keras.models.stack import mixer_stack, needs_divisor
from rankup_keras.models.token_counts import choose_tokens


@with_shared_arguments
@serializable
class RankMixer(RankingModel):
    """RankMixer: sliced tokens, parameter-free mixing, one feed-forward network per token.

    Fields are embedded and concatenated in the order of the feature set, those
    of one `group` beside each other at the place of its first, cut into
    T equal slices, projected to T tokens, and go through L post-norm blocks:

    `S = LN(Mix(X) + X)`, `X' = LN(FFN(S) + S)`

    One tower per task reads the mean over tokens.

    Args:
        features: adapted `FeatureSet`.
        tasks: list of `Task` or of task names.
        token_dim: int. Width D. Defaults to 64.
        num_tokens: int or `None`. T, which must divide D. `None` (default)
            takes the largest divisor up to the number of fields and 32.
        num_blocks: int. L. Defaults to 2.
        expansion: float. k of the feed-forward networks. Defaults to 2.
        ffn: `"gelu"` (default, as published), `"relu"`, `"swiglu"`, `"glu"`,
            `"glu_stack"`; a dict with one of them, `"moe"` or `"sparse_moe"` under
            `"kind"` and further arguments, such as `{"kind": "moe", "num_experts": 8}`;
            or a layer or a layer's Keras config, of which every block has a
            copy with weights of its own.
        placement: `"post"` (default, as published) or `"pre"`.
        norm: `"layer_norm"` (default), `"rms_norm"`, `None`; or `"siamese"` or
            `"siamese_blocks"`, two streams (`SiameseResidual`) around each half of
            a block or around blocks, for which there is no `placement`.
        pooling: `"mean"` (default, as published) or `"flatten"`.
        user_item_mask: bool. Whether tokens of the user's features and sequences
            are apart from the candidate's, which mixing keeps out of them, so that
            `rank` computes them once in every block (UG-Sep). Needs
            `mixing="token_mixing"`. Defaults to `False`.
        sequence_encoder: what reduces a sequence to the field that it becomes,
            see `RankUp`. Defaults to `"mean"`.
        {blocks}
        {shared}

    Raises:
        ValueError: T does not divide D (the message names what would), or an
            argument is not one of its choices.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("user", num_ids=9), rk.Categorical("item", num_ids=9)])
    model = rk.RankMixer(features, tasks=["click"], token_dim=8, num_tokens=4)
    model.predict({"user": [1, 2, 3], "item": [7, 7, 8]})["click"].shape  # (3, 1)
    ```

    References:
        - RankMixer, arXiv 2507.15551, sections 3.2 to 3.4.
    """

    def __init__(
        self,
        features: FeatureSet,
        tasks: Sequence[Task | str],
        token_dim: int = 64,
        num_tokens: int | None = None,
        num_blocks: int = 2,
        expansion: float = 2,
        ffn: LayerChoice = "gelu",
        mixing: LayerChoice = "token_mixing",
        placement: str = "post",
        norm: str | None = "layer_norm",
        inter_residual: int = 0,
        auxiliary_loss: float = 0.0,
        pooling: str = "mean",
        sequence_encoder: Any = "mean",
        user_item_mask: bool = False,
        embedding_dim: int = 16,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        tower_units: Sequence[int] = (),
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        dtype: Any = None,
        name: str = "rankmixer",
        **kwargs: Any,
    ) -> None:
        settings = settings_of(locals())
        task_list, policy = as_tasks(tasks), settings["dtype"]
        row = EmbeddedRow(features, settings)
        block: dict[str, Any] = {"placement": placement, "norm": norm, "dropout": dropout}
        lower: list[Any] = []
        if user_item_mask:
            token_streams.check_settings(settings)
            streams, count = row.sides_with_sequences(sequence_encoder)
            total = choose_tokens(token_dim, count, num_tokens)
            counts = token_streams.shares(total, {s: t.shape[1] for s, t in streams.items()})
            streams = token_streams.of_fields(row, streams, counts, token_dim)
            streams = token_streams.assembled(streams, policy)
            settings_of_ffn = {"expansion": expansion}
            streams = token_streams.masked_stack(
                streams, num_blocks, ffn, settings_of_ffn, policy, **block
            )
            x = token_streams.joined(streams)
        else:
            fields = row.all_fields(encoder=sequence_encoder).by_group(features)
            if needs_divisor(mixing):
                total = choose_tokens(token_dim, len(fields.dims), num_tokens)
            else:
                total = num_tokens or min(len(fields.dims), 32)
            x = row.drop(fields.tensor)
            x = SliceTokenizer(total, token_dim, name="tokenizer", dtype=policy)(x)
            x = TokenAssembly(name="tokens", dtype=policy)([x])
            of_ffn = {"expansion": expansion}
            x = mixer_stack(
                x, num_blocks, ffn, of_ffn, policy, mixing, inter_residual, lower, **block
            )
        pooled = TokenPooling(pooling, name="pooling", dtype=policy)(x)
        names = [task.name for task in task_list]
        outputs = TaskTowers(names, tower_units, name="towers", dtype=policy)(pooled)
        config = as_config(settings, num_tokens=total)
        super().__init__(row.inputs, outputs, features, task_list, config, name=name, **kwargs)
        self.train_lower_blocks(lower, auxiliary_loss, policy)
