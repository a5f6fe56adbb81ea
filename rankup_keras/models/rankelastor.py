"""RankElastor."""

from collections.abc import Sequence
from typing import Any

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.mixers import FullMixing, PerTokenGLU, PerTokenGLUStack, Residual
from rankup_keras.layers.tokens import SliceTokenizer, TokenAssembly
from rankup_keras.layers.towers import Task, TaskTowers, TokenPooling
from rankup_keras.models.arguments import as_config, settings_of, with_shared_arguments
from rankup_keras.models.embedded_row import EmbeddedRow
from rankup_keras.models.labels import as_tasks
from rankup_keras.models.ranking_model import RankingModel
from rankup_keras.models.token_family import one_of

FORMS = ("paper", "code")


@with_shared_arguments
@serializable
class RankElastor(RankingModel):
    """RankElastor: full mixing raises the rank, gated networks keep it up.

    Two forms, which differ:

    - `form="paper"`: `vec(M) = LN((W + I) vec(X))`,
      `Z_t = (GELU(M_t W1_t) * (M_t W2_t)) W3_t + M_t Wr_t`, a mean over
      tokens, one linear head per task;
    - `form="code"`, the authors' code: a root-mean-square norm before `W` and
      after its residual in place of the layer norm, `PerTokenGLUStack` with a
      residual in place of the gated unit, one projection shared by all slices
      of the embeddings, and a head with a hidden layer twice as wide as all
      tokens together.

    Args:
        features: adapted `FeatureSet`.
        tasks: list of `Task` or of task names.
        form: `"paper"` (default) or `"code"`.
        token_dim: int. Width D. Defaults to 16.
        num_tokens: int or `None`. T, any number: full mixing does not ask that
            it divides D. `None` (default) for one token per field.
        num_blocks: int. L. Defaults to 2.
        expansion: float. r. Defaults to 3.
        mixing: `"dense"` (default), `"kronecker"` or `"low_rank"`, see
            `FullMixing`.
        mixing_rank: int or `None`, see `FullMixing`.
        hidden_units: list of ints, widths of the code form's networks, see
            `PerTokenGLUStack`. `None` (default) for one gated unit of width D.
        dropout: float. Dropout rate on each residual branch. Defaults to 0.
        {shared}

    Raises:
        ValueError: `form` is none of the two, `hidden_units` is given to the
            paper's form, or a dense `W` would be too large.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("user", num_ids=9), rk.Categorical("item", num_ids=9)])
    model = rk.RankElastor(features, tasks=["click"], token_dim=4, num_tokens=3)
    model.predict({"user": [1, 2, 3], "item": [7, 7, 8]})["click"].shape  # (3, 1)
    ```

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
        hidden_units: Sequence[int] | None = None,
        embedding_dim: int = 16,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        dtype: Any = None,
        name: str = "rankelastor",
        **kwargs: Any,
    ) -> None:
        one_of("form", form, FORMS)
        if hidden_units is not None and form == "paper":
            raise ValueError(
                "`hidden_units` belongs to form='code'; the paper's network has none. "
                f"Received: hidden_units={list(hidden_units)}."
            )
        settings = settings_of(locals())
        task_list, policy, code = as_tasks(tasks), settings["dtype"], form == "code"
        row = EmbeddedRow(features, settings)
        fields = row.all_fields()
        x = row.drop(fields.tensor)
        total = num_tokens or len(fields.dims)
        x = SliceTokenizer(total, token_dim, shared=code, name="tokenizer", dtype=policy)(x)
        x = TokenAssembly(name="tokens", dtype=policy)([x])
        for index in range(1, num_blocks + 1):
            x = _mixer(form, mixing, mixing_rank, dropout, f"block_{index}_mixer", policy)(x)
            x = _network(form, expansion, hidden_units, dropout, f"block_{index}_ffn", policy)(x)
        pooling = "flatten" if code else "mean"
        pooled = TokenPooling(pooling, name="pooling", dtype=policy)(x)
        units = (2 * total * token_dim,) if code else ()
        names = [task.name for task in task_list]
        outputs = TaskTowers(names, units, name="towers", dtype=policy)(pooled)
        config = as_config(settings, num_tokens=total)
        super().__init__(row.inputs, outputs, features, task_list, config, name=name, **kwargs)


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
    form: str,
    expansion: float,
    hidden_units: Sequence[int] | None,
    dropout: float,
    name: str,
    dtype: Any,
) -> Any:
    if form == "paper":
        # Its linear path stands in for the residual connection.
        return PerTokenGLU(expansion, dropout=dropout, name=name, dtype=dtype)
    layer = PerTokenGLUStack(hidden_units, expansion, dropout=dropout, dtype=dtype)
    return Residual(layer, norm=None, name=name, dtype=dtype)
