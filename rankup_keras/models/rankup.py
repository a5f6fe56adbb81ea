"""RankUp."""

from collections.abc import Mapping, Sequence
from typing import Any

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.mixers.residual import make_norm
from rankup_keras.layers.tokens import TaskTokens, TokenAssembly
from rankup_keras.layers.towers import Task, TaskTowers, TokenPooling
from rankup_keras.models import token_streams
from rankup_keras.models.arguments import as_config, settings_of, with_shared_arguments
from rankup_keras.models.labels import as_tasks
from rankup_keras.models.layer_choice import LayerChoice
from rankup_keras.models.ranking_model import RankingModel
from rankup_keras.models.stack import mixer_stack, plain_norm
from rankup_keras.models.table_sets import MultiEmbedding
from rankup_keras.models.token_families import TokenFamilies


@with_shared_arguments
@serializable
class RankUp(RankingModel):
    """RankUp: tokens made to keep the rank of the representation growing with depth.

    The token matrix holds, in this order: sparse tokens of randomly permuted
    fields; a global token that reads all fields from a table set of its own; a
    dense token of the numeric columns and of pretrained vectors in no cross;
    one token per behavior sequence; one per pair of interacting fields; one
    per crossed pair of pretrained vectors; tokens of your own layers; one
    learned token per task. L pre-norm blocks mix them:

    `H' = Mix(LN(H)) + H`, `H'' = SwiGLU(LN(H')) + H'`

    Each task's tower reads its task token and the mean of the other tokens.

    Args:
        features: adapted `FeatureSet`.
        tasks: list of `Task` or of task names.
        token_dim: int or `None`. Width D. `None` (default) for 64, or the next
            multiple of the number of tokens where no number of them divides 64.
        num_sparse_tokens: int or `None`. The number of all tokens must divide
            D. `None` (default) takes the largest number that does.
        max_tokens: int. Largest number of all tokens that is chosen where
            `num_sparse_tokens` is not given. Defaults to 64.
        num_blocks: int. L. Defaults to 2.
        expansion: float. k of the SwiGLU. Defaults to 2.
        ffn: `"swiglu"` (default), `"gelu"`, `"relu"`, `"glu"`, `"glu_stack"`;
            a dict with one of them, `"moe"` or `"sparse_moe"` under `"kind"` and further
            arguments, such as `{"kind": "moe", "num_experts": 8}`; or a layer or a
            layer's Keras config, of which every block has a copy with weights of its own.
        tokenizer: `"permutation"` (default), whole fields dealt out at random;
            `"semantic"`, one token per `group` of features (those without one
            together); `"slice"`, equal slices of the concatenation.
        multi_embedding: bool, `"joined"` or dict. `True` (default): the global
            token and the interactions read table sets of their own, all others
            another one. `False`: all read one set. A dict from family
            (`"sparse"`, `"global"`, `"sequence"`, `"interaction"`, `"extra"`)
            to the name of a set, or to a list of names: sparse tokens are made
            of the fields of all of them, the other families have tokens for
            each. `"joined"`: one set as wide as those of `True` together, the
            control with as many parameters in tables.
        table_fields: dict from table set to the names of the fields that it
            holds. Defaults to all fields.
        interactions: list of pairs of names of categorical features, whose
            embeddings' product makes a token. Defaults to none.
        sequence_encoder: what reduces a sequence (`History` or `Events`) to its
            token: `"mean"` (default; of a history more exactly its own
            combiner), `"attention"` of the candidate over its events, `"din"`
            (`DINAttention`), or what the candidate reads events behind:
            `"transformer"`, `"longer"` or `"hstu"` (`TransformerEncoder` and so
            on). A dict such as `{"kind": "longer", "recent": 50}` has arguments
            of the layer; a dict from sequences' names to choices gives each its
            own.
        global_func: what the global token makes of its fields: `"mlp"`
            (default), `"fm"` (a factorization machine; fields must be equally
            wide), `"dcnv2"` (cross layers), a dict such as
            `{"kind": "dcnv2", "num_crosses": 2, "rank": None}`, or a layer or
            its Keras config that makes (batch, any width) of (batch, width);
            each followed by `global_units`.
        global_units: list of ints, hidden layers of the global token, or
            `None` for no global token. Defaults to none, a linear projection.
        crosses: list of pairs of names of `Pretrained` features. Defaults to
            none.
        extra_tokens: list of pairs of a layer, or a layer's Keras config, and
            the names of the features that it reads. It gets their embeddings,
            numeric columns and pretrained vectors side by side (batch, width)
            and makes tokens (batch, n, D), such as
            `(rk.layers.GlobalToken(64), ["hour", "weekday"])`. A numeric feature
            brings its missing-value indicator as a second column unless it has
            `indicator=False`; the dense token reads it as well. Defaults to none.
        task_tokens: bool. Defaults to `True`.
        permutation: list of field indices, or `None` to draw one from
            `permutation_seed`.
        permutation_seed: int. Defaults to 0.
        user_item_mask: bool. Whether sparse tokens are of the user's fields alone
            or of the candidate's, and mixing keeps what depends on the candidate
            out of the tokens that do not: those of user fields and of sequences
            whose encoder does not read the candidate. `rank` then computes these
            once in every block. The global token, the interactions and the task
            tokens see everything, and stand on the candidate's side; the dense
            token does where a numeric feature is the candidate's. Needs
            `tokenizer="permutation"` and `mixing="token_mixing"`. Defaults to
            `False`.
        norm: `"layer_norm"` (default), `"rms_norm"`; or `"siamese"` or
            `"siamese_blocks"`, two streams (`SiameseResidual`) around each half of
            a block or around blocks, and layer norms before and after them.
        token_norm: bool. Whether to normalize every token before the first
            block, since families differ in scale and a pre-norm block keeps
            that difference in its residual path. The paper does not say.
            Defaults to `True`.
        final_norm: bool. Whether to normalize the last block's output before
            the towers. Defaults to `True`.
        down_scale: float. Factor on the initial down-projection of each
            SwiGLU. Defaults to 1.
        {blocks}
        {shared}

    Raises:
        ValueError: the tokens cannot divide the width (the message names what
            would), `crosses` names no pretrained feature, or another argument
            is not one of its choices.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet(
        [rk.Categorical("user", num_ids=9), rk.Categorical("item", num_ids=9), rk.Numeric("price")]
    )
    rows = {"user": [1, 2, 3], "item": [7, 7, 8], "price": [1.0, 2.5, 2.5]}
    model = rk.RankUp(features.adapt(rows), tasks=["click", "buy"], token_dim=12)
    model.predict(rows)["buy"].shape  # (3, 1)
    ```

    References:
        - RankUp, arXiv 2604.17878, permutation of fields, multi-embedding,
          global, crossed pretrained and task tokens.
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
        ffn: LayerChoice = "swiglu",
        embedding_dim: int = 16,
        tokenizer: str = "permutation",
        mixing: LayerChoice = "token_mixing",
        multi_embedding: MultiEmbedding = True,
        table_fields: Mapping[str, Sequence[str]] | None = None,
        interactions: Sequence[Sequence[str]] = (),
        sequence_encoder: Any = "mean",
        global_func: LayerChoice = "mlp",
        global_units: Sequence[int] | None = (),
        crosses: Sequence[Sequence[str]] = (),
        extra_tokens: Sequence[Sequence[Any]] = (),
        task_tokens: bool = True,
        permutation: Sequence[int] | None = None,
        permutation_seed: int = 0,
        user_item_mask: bool = False,
        norm: str | None = "layer_norm",
        inter_residual: int = 0,
        auxiliary_loss: float = 0.0,
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
        settings = settings_of(locals())
        task_list, policy = as_tasks(tasks), settings["dtype"]
        make = TokenFamilies(features, settings)
        num_task_tokens = len(task_list) if task_tokens else 0
        others = num_task_tokens + sum(family.count() for family in make.others)
        token_dim, num_sparse_tokens = make.sparse.sizes(others)
        if user_item_mask:
            token_streams.check_settings(settings)
            streams, permutation = make.sparse.tokens_by_side(token_dim, num_sparse_tokens), None
        else:
            sparse, permutation = make.sparse.tokens_of(token_dim, num_sparse_tokens)
            streams = {token_streams.ALL: [sparse]}
        part = make.row.user_part() if user_item_mask else None
        last = token_streams.ITEM if user_item_mask else token_streams.ALL
        for x in (x for family in make.others for x in family.tokens(token_dim)):
            streams[token_streams.USER if part is not None and part.only(x) else last].append(x)
        if task_tokens:
            streams[last][-1] = TaskTokens(num_task_tokens, name="task_tokens", dtype=policy)(
                streams[last][-1]
            )
        # The layer named "tokens" makes what enters the first block.
        normed = token_norm and norm is not None
        name_of_assembly = "assembled_tokens" if normed else "tokens"
        for stream, families in streams.items():
            layer = TokenAssembly(name=f"{stream}{name_of_assembly}", dtype=policy)
            streams[stream] = layer(families)
        first_norm = plain_norm(norm) if token_norm else None
        streams = token_streams.normed(streams, first_norm, "{}tokens", policy)
        of_ffn = {"expansion": expansion, "down_scale": down_scale}
        block: dict[str, Any] = {"placement": "pre", "norm": norm, "dropout": dropout}
        lower: list[Any] = []
        if user_item_mask:
            streams = token_streams.masked_stack(streams, num_blocks, ffn, of_ffn, policy, **block)
            x = token_streams.joined(streams)
        else:
            x = mixer_stack(
                streams[last], num_blocks, ffn, of_ffn, policy, mixing, inter_residual, lower,
                **block,
            )  # fmt: skip
        last_norm = make_norm(plain_norm(norm) if final_norm else None, 1e-6, policy, "final_norm")
        if last_norm is not None:
            x = last_norm(x)
        pooling = TokenPooling("mean", num_task_tokens, name="pooling", dtype=policy)
        towers = TaskTowers([t.name for t in task_list], tower_units, name="towers", dtype=policy)
        outputs = towers(*pooling(x)) if task_tokens else towers(pooling(x))
        config = as_config(
            settings,
            token_dim=token_dim,
            num_sparse_tokens=num_sparse_tokens,
            permutation=permutation,
        )
        inputs = make.row.inputs
        super().__init__(inputs, outputs, features, task_list, config, name=name, **kwargs)
        self.train_lower_blocks(lower, auxiliary_loss, policy)
