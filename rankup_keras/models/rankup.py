"""RankUp."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet, History
from rankup_keras.layers.mixers.residual import make_norm
from rankup_keras.layers.tokens import TaskTokens, TokenAssembly
from rankup_keras.layers.towers import Task, TaskTowers, TokenPooling
from rankup_keras.models.embedded_row import EmbeddedRow, encoded_inputs, side_by_side
from rankup_keras.models.ranking_model import RankingModel, as_tasks
from rankup_keras.models.stack import mixer_stack, needs_divisor, plain
from rankup_keras.models.token_counts import choose_sparse_tokens, choose_width
from rankup_keras.models.token_families import (
    ENCODERS,
    TOKENIZERS,
    TokenFamilies,
    one_of,
    semantic_groups,
    sets_by_family,
    sparse_fields,
    table_sets,
)


@serializable
class RankUp(RankingModel):
    """RankUp: tokens made to keep the rank of the representation growing with depth.

    The token matrix holds, in this order: sparse tokens of randomly permuted
    fields; a global token that reads all fields from a table set of its own; a
    dense token of the numeric columns and of pretrained vectors in no cross; a
    token for every behaviour sequence; a token for every pair of interacting
    fields; a token for every crossed pair of pretrained vectors; a learned token
    for every task. L pre-norm blocks mix them:

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
        tokenizer: `"permutation"` (default), whole fields dealt out at random;
            `"semantic"`, one token a `group` of features (those without one
            together); `"slice"`, equal slices of the concatenation.
        mixing: `"token_mixing"` (default), `"mix_and_revert"` or
            `"full_mixing"`, or a dict with one of them under `"kind"` and
            further arguments of `MixAndRevert` or `FullMixing`, such as
            `{"kind": "mix_and_revert", "num_heads": 8}`, with which the number
            of tokens need not divide D.
        multi_embedding: bool, `"joined"` or dict. `True` (default): the global
            token and the interactions read tables of their own, the sparse
            tokens and sequences another set. `False`: all read one set. A dict
            from family (`"sparse"`, `"global"`, `"sequence"`, `"interaction"`)
            to the name of a set, or to a list of names: sparse tokens are made
            of the fields of all of them, the other families have tokens for
            each. `"joined"`: one set as wide as those of `True` together, the
            control with as many parameters in tables.
        table_fields: dict from table set to the names of the fields that it
            holds. Defaults to all fields.
        interactions: list of pairs of names of categorical features, whose
            embeddings' product makes a token. Defaults to none.
        sequence_encoder: `"mean"` (default; more exactly the feature's own
            combiner) or `"attention"` of the candidate, which is the feature
            that the sequence is `of`, over its items.
        global_func: what the global token makes of its fields: `"mlp"`
            (default), `"fm"` (a factorization machine; fields must be equally
            wide) or `"dcnv2"` (cross layers), each followed by `global_units`;
            or a dict `{"kind": "dcnv2", "num_crosses": 2, "rank": None}`.
        global_units: list of ints, hidden layers of the global token, or
            `None` for no global token. Defaults to none, a linear projection.
        crosses: list of pairs of names of `Pretrained` features. Defaults to
            none.
        task_tokens: bool. Defaults to `True`.
        permutation: list of field indices, or `None` to draw one from
            `permutation_seed`.
        permutation_seed: int. Defaults to 0.
        norm: `"layer_norm"` (default) or `"rms_norm"`.
        token_norm: bool. Whether to normalise every token before the first
            block, since families differ in scale and a pre-norm block keeps
            that difference in its residual path. The paper does not say.
            Defaults to `True`.
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
        tokenizer: str = "permutation",
        mixing: str | Mapping[str, Any] = "token_mixing",
        multi_embedding: bool | str | Mapping[str, str | Sequence[str]] = True,
        table_fields: Mapping[str, Sequence[str]] | None = None,
        interactions: Sequence[Sequence[str]] = (),
        sequence_encoder: str = "mean",
        global_func: str | Mapping[str, Any] = "mlp",
        global_units: Sequence[int] | None = (),
        crosses: Sequence[Sequence[str]] = (),
        task_tokens: bool = True,
        permutation: Sequence[int] | None = None,
        permutation_seed: int = 0,
        norm: str | None = "layer_norm",
        token_norm: bool = True,
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
        one_of(tokenizer, "tokenizer", TOKENIZERS)
        one_of(sequence_encoder, "sequence_encoder", ENCODERS)
        has_global = global_units is not None
        has = {
            "sparse": True,
            "global": has_global,
            "sequence": bool(features.of_type(History)),
            "interaction": bool(interactions),
        }
        reads = sets_by_family(multi_embedding, [family for family in has if has[family]])
        row = EmbeddedRow(
            features,
            inputs,
            table_sets(reads, table_fields, interactions),
            embedding_dim,
            policy,
            joined=multi_embedding == "joined",
            embeddings_initializer=keras.initializers.get(embeddings_initializer),
            embeddings_regularizer=keras.regularizers.get(embeddings_regularizer),
        )
        dims = sparse_fields(row, reads["sparse"])[1]
        if not dims:
            raise ValueError(
                "RankUp needs at least one Categorical feature to make sparse tokens of. "
                f"Received features: {[feature.name for feature in features.features]}."
            )
        sequences = sum(len(row.sequences(name)[0]) for name in reads.get("sequence", ()))
        num_task_tokens = len(task_list) if task_tokens else 0
        dense_inputs = _dense_inputs(row, crosses)
        beside = has_global * len(reads.get("global", ())) + bool(dense_inputs)
        beside += sequences + len(crosses) + len(interactions) * len(reads.get("interaction", ()))
        beside += num_task_tokens
        if tokenizer == "semantic":
            num_sparse_tokens = _semantic_count(row, reads["sparse"], num_sparse_tokens)
        if token_dim is None:
            token_dim = choose_width(beside, len(dims), num_sparse_tokens, max_tokens)
        # A slice may be smaller than a field.
        pieces = sum(dims) if tokenizer == "slice" and num_sparse_tokens else len(dims)
        if needs_divisor(mixing):
            sparse_tokens = choose_sparse_tokens(
                token_dim, beside, pieces, num_sparse_tokens, max_tokens
            )
        else:
            sparse_tokens = num_sparse_tokens or max(1, min(len(dims), max_tokens - beside))
        make = TokenFamilies(row, token_dim, embedding_dropout)
        sparse, sparse_tokenizer = make.sparse(
            reads["sparse"],
            tokenizer,
            sparse_tokens,
            **(
                {"permutation": permutation, "seed": permutation_seed}
                if tokenizer == "permutation"
                else {}
            ),
        )
        families = [sparse]
        if has_global:
            families += make.global_tokens(reads["global"], global_func, global_units or ())
        if dense_inputs:
            families.append(make.dense(side_by_side(dense_inputs)))
        families += make.sequence(reads.get("sequence", ()), sequence_encoder)
        if interactions:
            families += make.interaction(reads["interaction"], interactions)
        if crosses:
            families.append(make.crossed(crosses))
        if task_tokens:
            families[-1] = TaskTokens(len(task_list), name="task_tokens", dtype=policy)(
                families[-1]
            )
        # The layer named "tokens" makes what enters the first block.
        first_norm = make_norm(norm if token_norm else None, 1e-6, policy, "tokens")
        name_of_assembly = "tokens" if first_norm is None else "assembled_tokens"
        x = TokenAssembly(name=name_of_assembly, dtype=policy)(families)
        if first_norm is not None:
            x = first_norm(x)
        x = mixer_stack(
            x,
            num_blocks,
            ffn,
            {"expansion": expansion, "down_scale": down_scale},
            policy,
            mixing,
            placement="pre",
            norm=norm,
            dropout=dropout,
        )
        last_norm = make_norm(norm if final_norm else None, 1e-6, policy, "final_norm")
        if last_norm is not None:
            x = last_norm(x)
        pooling = TokenPooling("mean", num_task_tokens, name="pooling", dtype=policy)
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
            "tokenizer": tokenizer,
            "mixing": mixing,
            "multi_embedding": multi_embedding,
            "table_fields": table_fields,
            "interactions": interactions,
            "sequence_encoder": sequence_encoder,
            "global_func": global_func,
            "global_units": global_units,
            "crosses": crosses,
            "task_tokens": task_tokens,
            "permutation": getattr(sparse_tokenizer, "permutation", None),
            "permutation_seed": permutation_seed,
            "norm": norm,
            "token_norm": token_norm,
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


def _semantic_count(row: EmbeddedRow, sets: Sequence[str], wanted: int | None) -> int:
    groups = len(semantic_groups(row, sets))
    if wanted not in (None, groups):
        raise ValueError(
            "tokenizer='semantic' makes one token a group of features. "
            f"Received: num_sparse_tokens={wanted}, and there are {groups} groups."
        )
    return groups


def _dense_inputs(row: EmbeddedRow, crosses: Sequence[Sequence[str]]) -> list[Any]:
    """What the dense token reads: the numeric columns, and pretrained vectors in no pair."""
    crossed = {name for pair in crosses for name in pair}
    numeric = [row.inputs[name] for name in ("encoded_numeric",) if name in row.inputs]
    return numeric + [vector for name, vector in row.vectors().items() if name not in crossed]
