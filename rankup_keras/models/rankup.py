"""RankUp."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.mixers.residual import make_norm
from rankup_keras.models.embedded_row import EmbeddedRow, encoded_inputs, side_by_side
from rankup_keras.models.ranking_model import RankingModel, as_tasks
from rankup_keras.models.stack import mixer_stack, plain
from rankup_keras.models.token_counts import choose_sparse_tokens, choose_width
from rankup_keras.tokens import (
    CrossedTokens,
    GlobalToken,
    PermutationTokenizer,
    SequenceTokens,
    TaskTokens,
    TokenAssembly,
)
from rankup_keras.towers import Task, TaskTowers, TokenPooling


@serializable
class RankUp(RankingModel):
    """RankUp: tokens made to keep the rank of the representation growing with depth.

    The token matrix holds, in this order: sparse tokens of randomly permuted
    fields; a global token that reads all fields from a table set of its own; a
    dense token of the numeric columns; a token for every behaviour sequence; a
    token for every crossed pair of pretrained vectors; a learned token for
    every task. L pre-norm blocks mix them:

    `H' = Mix(LN(H)) + H`, `H'' = SwiGLU(LN(H')) + H'`

    A task's tower reads its task token and the mean of the other tokens.

    Args:
        features: adapted `FeatureSet`.
        tasks: list of `Task` or of names.
        token_dim: int or `None`. Width D. `None` (default) for 64, or the next
            multiple of the number of tokens where no number of them divides 64.
        num_sparse_tokens: int or `None`. The number of all tokens must divide
            D. `None` (default) takes the largest number that does.
        max_tokens: int. Largest number of all tokens that is chosen where
            `num_sparse_tokens` is not given. Defaults to 64.
        num_blocks: int. L. Defaults to 2.
        expansion: float. k of the SwiGLU. Defaults to 2.
        ffn: `"swiglu"` (default), `"gelu"`, `"relu"`, `"glu"`, `"moe"`, or a
            dict with one of them under `"kind"` and further arguments.
        embedding_dim: int. Width of embeddings that have none of their own.
            Defaults to 16.
        multi_embedding: bool. Whether sparse tokens and global token read
            tables of their own. Defaults to `True`.
        global_units: list of ints, hidden layers of the global token, or
            `None` for no global token. Defaults to none, a linear projection.
        crosses: list of pairs of names of `Pretrained` features. Defaults to
            none.
        task_tokens: bool. Defaults to `True`.
        permutation: list of field indices, or `None` to draw one from
            `permutation_seed`.
        permutation_seed: int. Defaults to 0.
        norm: `"layer_norm"` (default) or `"rms_norm"`.
        final_norm: bool. Whether to normalise what pre-norm blocks leave
            before the towers. Defaults to `True`.
        down_scale: float. Factor on the initial down-projection of each
            SwiGLU. Defaults to 1.
        dropout: float. Dropout rate on each residual branch. Defaults to 0.
        embedding_dropout: float. Dropout rate on embeddings. Defaults to 0.
        tower_units: list of ints, hidden layers of the towers. Defaults to
            none.
        embeddings_initializer: initializer of the tables, see `FieldEmbedding`.
        embeddings_regularizer: regularizer of the rows in a batch. Defaults to
            none.
        dtype: dtype policy of the layers. Defaults to Keras's global one.

    Raises:
        ValueError: the tokens cannot divide the width (the message names what
            would), or `crosses` names no pretrained feature.

    References:
        - RankUp, arXiv 2604.17878.
    """

    def __init__(
        self,
        features: FeatureSet,
        tasks: Sequence[Task | str],
        token_dim: int | None = None,
        num_sparse_tokens: int | None = None,
        max_tokens: int = 64,
        num_blocks: int = 2,
        expansion: float = 2,
        ffn: str | Mapping[str, Any] = "swiglu",
        embedding_dim: int = 16,
        multi_embedding: bool = True,
        global_units: Sequence[int] | None = (),
        crosses: Sequence[Sequence[str]] = (),
        task_tokens: bool = True,
        permutation: Sequence[int] | None = None,
        permutation_seed: int = 0,
        norm: str | None = "layer_norm",
        final_norm: bool = True,
        down_scale: float = 1.0,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        tower_units: Sequence[int] = (),
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        dtype: Any = None,
        name: str = "rankup",
        **kwargs: Any,
    ) -> None:
        task_list = as_tasks(tasks)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        features.freeze(name)
        inputs = encoded_inputs(features)
        has_global = global_units is not None
        global_set = "global" if multi_embedding and has_global else "sparse"
        row = EmbeddedRow(
            features,
            inputs,
            list(dict.fromkeys(["sparse", global_set])),
            embedding_dim,
            policy,
            embeddings_initializer=keras.initializers.get(embeddings_initializer),
            embeddings_regularizer=keras.regularizers.get(embeddings_regularizer),
        )

        def drop(x: Any, where: str) -> Any:
            if not embedding_dropout:
                return x
            return keras.layers.Dropout(embedding_dropout, dtype=policy, name=f"{where}_dropout")(x)

        fields, dims = row.categorical("sparse")
        if not fields:
            raise ValueError(
                "RankUp needs at least one Categorical feature to make sparse tokens of. "
                f"Received features: {[feature.name for feature in features.features]}."
            )
        items, ids, combiners = row.sequences("sparse")
        num_task_tokens = len(task_list) if task_tokens else 0
        beside = has_global + ("encoded_numeric" in inputs) + len(items) + len(crosses)
        if token_dim is None:
            token_dim = choose_width(
                beside + num_task_tokens, len(dims), num_sparse_tokens, max_tokens
            )
        sparse_tokens = choose_sparse_tokens(
            token_dim, beside + num_task_tokens, len(dims), num_sparse_tokens, max_tokens
        )
        others = []
        if has_global:
            whole = drop(side_by_side(row.pooled(global_set)[0]), "global")
            others.append(
                GlobalToken(token_dim, global_units or (), name="global_token", dtype=policy)(whole)
            )
        if "encoded_numeric" in inputs:
            dense = GlobalToken(token_dim, name="dense_token", dtype=policy)
            others.append(dense(inputs["encoded_numeric"]))
        if items:
            sequence = SequenceTokens(token_dim, combiners, name="sequence_tokens", dtype=policy)
            others.append(sequence([drop(x, f"sequence_{i}") for i, x in enumerate(items)], ids))
        if crosses:
            left, right = _pairs(row.vectors(), crosses)
            others.append(
                CrossedTokens(token_dim, name="crossed_tokens", dtype=policy)(left, right)
            )
        tokenizer = PermutationTokenizer(
            sparse_tokens,
            token_dim,
            dims,
            permutation,
            permutation_seed,
            name="tokenizer",
            dtype=policy,
        )
        families = [tokenizer(drop(fields[0], "sparse")), *others]
        if task_tokens:
            families[-1] = TaskTokens(len(task_list), name="task_tokens", dtype=policy)(
                families[-1]
            )
        x = TokenAssembly(tokens_first=True, name="tokens", dtype=policy)(families)
        x = mixer_stack(
            x,
            num_blocks,
            ffn,
            {"expansion": expansion, "down_scale": down_scale},
            policy,
            placement="pre",
            norm=norm,
            dropout=dropout,
        )
        last_norm = make_norm(norm if final_norm else None, 1e-6, policy, "final_norm")
        if last_norm is not None:
            x = last_norm(x)
        pooling = TokenPooling(
            "mean", num_task_tokens, tokens_first=True, name="pooling", dtype=policy
        )
        towers = TaskTowers([t.name for t in task_list], tower_units, name="towers", dtype=policy)
        outputs = towers(*pooling(x)) if task_tokens else towers(pooling(x))
        settings = {
            "token_dim": token_dim,
            "num_sparse_tokens": sparse_tokens,
            "max_tokens": max_tokens,
            "num_blocks": num_blocks,
            "expansion": expansion,
            "ffn": ffn,
            "embedding_dim": embedding_dim,
            "multi_embedding": multi_embedding,
            "global_units": global_units,
            "crosses": crosses,
            "task_tokens": task_tokens,
            "permutation": tokenizer.permutation,
            "permutation_seed": permutation_seed,
            "norm": norm,
            "final_norm": final_norm,
            "down_scale": down_scale,
            "dropout": dropout,
            "embedding_dropout": embedding_dropout,
            "tower_units": tower_units,
            "embeddings_initializer": keras.initializers.get(embeddings_initializer),
            "embeddings_regularizer": keras.regularizers.get(embeddings_regularizer),
            "dtype": policy.name,
        }
        super().__init__(inputs, outputs, features, task_list, plain(settings), name=name, **kwargs)


def _pairs(
    vectors: dict[str, Any], crosses: Sequence[Sequence[str]]
) -> tuple[list[Any], list[Any]]:
    for pair in crosses:
        if len(pair) != 2 or any(name not in vectors for name in pair):
            raise ValueError(
                "`crosses` must be pairs of names of Pretrained features, of which there are "
                f"{sorted(vectors)}. Received: {list(pair)}."
            )
    return [vectors[left] for left, _ in crosses], [vectors[right] for _, right in crosses]
