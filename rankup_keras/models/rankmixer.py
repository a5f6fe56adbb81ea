"""RankMixer."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.tokens import SliceTokenizer, TokenAssembly
from rankup_keras.layers.towers import Task, TaskTowers, TokenPooling
from rankup_keras.models.embedded_row import EmbeddedRow, encoded_inputs
from rankup_keras.models.ranking_model import RankingModel, as_tasks
from rankup_keras.models.stack import mixer_stack, needs_divisor, plain
from rankup_keras.models.token_counts import choose_tokens


@serializable
class RankMixer(RankingModel):
    """RankMixer: sliced tokens, parameter-free mixing, a feed-forward network a token.

    Fields are embedded and concatenated in the order of the feature set, those
    of one `group` beside each other at the place of its first, cut into
    T equal slices, projected to T tokens, and go through L post-norm blocks:

    `S = LN(Mix(X) + X)`, `X' = LN(FFN(S) + S)`

    The mean over tokens feeds one tower a task.

    Args:
        features: adapted `FeatureSet`.
        tasks: list of `Task` or of names.
        token_dim: int. Width D. Defaults to 64.
        num_tokens: int or `None`. T, which must divide D. `None` (default)
            takes the largest divisor up to the number of fields and 32.
        num_blocks: int. L. Defaults to 2.
        expansion: float. k of the feed-forward networks. Defaults to 2.
        ffn: `"gelu"` (default, as published), `"relu"`, `"swiglu"`, `"glu"`,
            `"moe"`, or a dict with one of them under `"kind"` and further
            arguments of the layer, such as
            `{"kind": "moe", "num_experts": 4}`.
        mixing: `"token_mixing"` (default, as published), `"mix_and_revert"` or
            `"full_mixing"`, or a dict with one of them under `"kind"` and
            further arguments, such as
            `{"kind": "mix_and_revert", "num_heads": 8}`, with which the number
            of tokens need not divide D.
        placement: `"post"` (default, as published) or `"pre"`.
        norm: `"layer_norm"` (default), `"rms_norm"` or `None`.
        pooling: `"mean"` (default, as published) or `"flatten"`.
        embedding_dim: int. Width of embeddings that have none of their own.
            Defaults to 16.
        dropout: float. Dropout rate on each residual branch. Defaults to 0.
        embedding_dropout: float. Dropout rate on the concatenated embeddings.
            Defaults to 0.
        tower_units: list of ints, hidden layers of the towers. Defaults to
            none, as published.
        embeddings_initializer: initializer of the tables, see `FieldEmbedding`.
        embeddings_regularizer: regularizer of the rows in a batch. Defaults to
            none.
        dtype: dtype policy of the layers. Defaults to Keras's global one.

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
        ffn: str | Mapping[str, Any] = "gelu",
        mixing: str | Mapping[str, Any] = "token_mixing",
        placement: str = "post",
        norm: str | None = "layer_norm",
        pooling: str = "mean",
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
        task_list = as_tasks(tasks)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        features.freeze(name)
        inputs = encoded_inputs(features)
        row = EmbeddedRow(
            features,
            inputs,
            ["shared"],
            embedding_dim,
            policy,
            embeddings_initializer=keras.initializers.get(embeddings_initializer),
            embeddings_regularizer=keras.regularizers.get(embeddings_regularizer),
        )
        x, dims = row.in_groups("shared")
        if embedding_dropout:
            x = keras.layers.Dropout(embedding_dropout, dtype=policy, name="embedding_dropout")(x)
        if needs_divisor(mixing):
            total = choose_tokens(token_dim, len(dims), num_tokens)
        else:
            total = num_tokens or min(len(dims), 32)
        x = SliceTokenizer(total, token_dim, name="tokenizer", dtype=policy)(x)
        x = TokenAssembly(name="tokens", dtype=policy)([x])
        x = mixer_stack(
            x,
            num_blocks,
            ffn,
            {"expansion": expansion},
            policy,
            mixing,
            placement=placement,
            norm=norm,
            dropout=dropout,
        )
        pooled = TokenPooling(pooling, name="pooling", dtype=policy)(x)
        outputs = TaskTowers(
            [task.name for task in task_list], tower_units, name="towers", dtype=policy
        )(pooled)
        settings = {
            "token_dim": token_dim,
            "num_tokens": total,
            "num_blocks": num_blocks,
            "expansion": expansion,
            "ffn": ffn,
            "mixing": mixing,
            "placement": placement,
            "norm": norm,
            "pooling": pooling,
            "embedding_dim": embedding_dim,
            "dropout": dropout,
            "embedding_dropout": embedding_dropout,
            "tower_units": tower_units,
            "embeddings_initializer": keras.initializers.get(embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.get(embeddings_regularizer),
            "dtype": policy.name,
        }
        super().__init__(inputs, outputs, features, task_list, plain(settings), name=name, **kwargs)
