"""RankElastor."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.mixers import FullMixing, PerTokenGLU, PerTokenGLUStack, Residual
from rankup_keras.layers.tokens import SliceTokenizer, TokenAssembly
from rankup_keras.layers.towers import Task, TaskTowers, TokenPooling
from rankup_keras.models.embedded_row import EmbeddedRow, encoded_inputs, side_by_side
from rankup_keras.models.ranking_model import RankingModel, as_tasks
from rankup_keras.models.stack import plain

FORMS = ("paper", "code")


@serializable
class RankElastor(RankingModel):
    """RankElastor: full mixing raises the rank, gated networks keep it up.

    Two forms, which differ:

    - `form="paper"`: `vec(M) = LN((W + I) vec(X))`,
      `Z_t = (GELU(M_t W1_t) * (M_t W2_t)) W3_t + M_t Wr_t`, a mean over
      tokens, one linear head a task;
    - `form="code"`, the authors' code: a root-mean-square norm before `W` and
      after its residual in place of the layer norm, `PerTokenGLUStack` with a
      residual in place of the gated unit, one projection shared by all slices
      of the embeddings, and a head with a hidden layer twice as wide as all
      tokens together.

    Args:
        features: adapted `FeatureSet`.
        tasks: list of `Task` or of names.
        form: `"paper"` (default) or `"code"`.
        token_dim: int. Width D. Defaults to 16.
        num_tokens: int or `None`. T, any number: full mixing does not ask that
            it divides D. `None` (default) for one a field.
        num_blocks: int. L. Defaults to 2.
        expansion: float. r. Defaults to 3.
        mixing: `"dense"` (default), `"kronecker"` or `"low_rank"`, see
            `FullMixing`.
        mixing_rank: int or `None`, see `FullMixing`.
        hidden_units: list of ints, inner widths of the code form's networks.
            Defaults to none.
        embedding_dim: int. Width of embeddings that have none of their own.
            Defaults to 16.
        dropout: float. Dropout rate on each residual branch. Defaults to 0.
        embedding_dropout: float. Dropout rate on the concatenated embeddings.
            Defaults to 0.
        embeddings_initializer: initializer of the tables, see `FieldEmbedding`.
        embeddings_regularizer: regularizer of the rows in a batch. Defaults to
            none.
        dtype: dtype policy of the layers. Defaults to Keras's global one.

    References:
        - RankElastor, arXiv 2605.23191.
    """

    def __init__(
        self,
        features: FeatureSet,
        tasks: Sequence[Task | str],
        form: str = "paper",
        token_dim: int = 16,
        num_tokens: int | None = None,
        num_blocks: int = 2,
        expansion: float = 3,
        mixing: str = "dense",
        mixing_rank: int | None = None,
        hidden_units: Sequence[int] = (),
        embedding_dim: int = 16,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        dtype: Any = None,
        name: str = "rankelastor",
        **kwargs: Any,
    ) -> None:
        if form not in FORMS:
            raise ValueError(f"`form` must be one of {FORMS}. Received: form={form!r}.")
        if hidden_units and form == "paper":
            raise ValueError(
                "`hidden_units` belongs to form='code'; the paper's network has none. "
                f"Received: hidden_units={list(hidden_units)}."
            )
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
        pieces, dims = row.all_fields("shared")
        x = side_by_side(pieces)
        if embedding_dropout:
            x = keras.layers.Dropout(embedding_dropout, dtype=policy, name="embedding_dropout")(x)
        total = num_tokens or len(dims)
        x = SliceTokenizer(total, token_dim, shared=form == "code", name="tokenizer", dtype=policy)(
            x
        )
        x = TokenAssembly(name="tokens", dtype=policy)([x])
        for index in range(1, num_blocks + 1):
            x = _mixer(form, mixing, mixing_rank, dropout, f"block_{index}_mixer", policy)(x)
            x = _network(form, expansion, hidden_units, dropout, f"block_{index}_ffn", policy)(x)
        pooled = TokenPooling(
            "flatten" if form == "code" else "mean",
            name="pooling",
            dtype=policy,
        )(x)
        units = (2 * total * token_dim,) if form == "code" else ()
        outputs = TaskTowers([task.name for task in task_list], units, name="towers", dtype=policy)(
            pooled
        )
        settings = {
            "form": form,
            "token_dim": token_dim,
            "num_tokens": total,
            "num_blocks": num_blocks,
            "expansion": expansion,
            "mixing": mixing,
            "mixing_rank": mixing_rank,
            "hidden_units": hidden_units,
            "embedding_dim": embedding_dim,
            "dropout": dropout,
            "embedding_dropout": embedding_dropout,
            "embeddings_initializer": initializer,
            "embeddings_regularizer": regularizer,
            "dtype": policy.name,
        }
        super().__init__(inputs, outputs, features, task_list, plain(settings), name=name, **kwargs)


def _mixer(
    form: str, mixing: str, rank: int | None, dropout: float, name: str, dtype: Any
) -> Residual:
    code = form == "code"
    layer = FullMixing(
        mixing,
        rank,
        use_bias=code,
        inner_norm="rms_norm" if code else None,
        epsilon=1e-12,
        dtype=dtype,
    )
    return Residual(
        layer,
        placement="post",
        norm="rms_norm" if code else "layer_norm",
        epsilon=1e-12 if code else 1e-6,
        dropout=dropout,
        name=name,
        dtype=dtype,
    )


def _network(
    form: str, expansion: float, hidden_units: Sequence[int], dropout: float, name: str, dtype: Any
) -> Any:
    if form == "paper":
        # Its linear path stands in for the residual connection.
        return PerTokenGLU(expansion, dropout=dropout, name=name, dtype=dtype)
    layer = PerTokenGLUStack(hidden_units, expansion, dropout=dropout, dtype=dtype)
    return Residual(layer, norm=None, name=name, dtype=dtype)
