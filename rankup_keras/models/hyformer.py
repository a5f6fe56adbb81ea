"""HyFormer."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.divisibility import divisors, nearest
from rankup_keras.layers.mixers import LayerNorm, PerTokenFFN
from rankup_keras.layers.sequences import EventAttention, EventSwiGLU
from rankup_keras.layers.tokens import PerTokenDense, SequencePooling, TokenAssembly
from rankup_keras.layers.towers import Task, TaskTowers
from rankup_keras.models import token_streams
from rankup_keras.models.arguments import as_config, settings_of, with_shared_arguments
from rankup_keras.models.embedded_row import EmbeddedRow, side_by_side
from rankup_keras.models.event_sequence import ENCODERS, encoded
from rankup_keras.models.labels import as_tasks
from rankup_keras.models.layer_choice import LayerChoice, kind_and_arguments
from rankup_keras.models.ranking_model import RankingModel


@with_shared_arguments
@serializable
class HyFormer(RankingModel):
    """HyFormer: queries of each sequence look it up in every block, then mix with the fields.

    All fields but the sequences become M tokens F of width D. Every sequence j
    has N queries, made by networks of their own of all tokens F and the means of
    all sequences. A block:

    `H_j = Enc(H_j)`, `Q_j = Q_j + MHA(LN Q_j, LN H_j)` (decoding),
    `X = [Q_1; ...; Q_J; F]`, `X' = X + PFFN(Mix(LN X))` (boosting)

    with one network per token; rows of X' are the next queries and fields. One
    tower per task reads the queries, concatenated, projected and normalized.

    **Once per user.** Encoders, keys and values do not depend on the candidate.
    With `user_item_mask` the queries and the tokens of the user's features do
    not either: queries are made of those, and mixing keeps the candidate's
    tokens out of them. The towers then read the candidate's tokens too. `rank`
    computes all of the user's part once.

    Args:
        features: adapted `FeatureSet` with at least one `Events` or `History`.
        tasks: list of `Task` or of task names.
        token_dim: int. Width D. Defaults to 64.
        num_tokens: int or `None`. M; `J N + M` must divide D. `None` (default)
            takes the largest number that does, up to the number of fields.
        num_queries: int. N, per sequence. Defaults to 2.
        num_blocks: int. Defaults to 2.
        num_heads: int. Heads of the attention. Defaults to 4.
        expansion: float. k of the networks. Defaults to 4.
        encoder: Enc: `"swiglu"` (default), each event by itself;
            `"transformer"` or `"longer"`; or a dict with one of them under
            `"kind"` and arguments of the layer.
        user_item_mask: bool. Defaults to `False`.
        dropout: float. Dropout rate on the boosting branch. Defaults to 0.
        tower_units: list of ints, hidden layers of each task's tower. Defaults
            to none.
        {shared}

    Raises:
        ValueError: no sequence; T = J N + M does not divide D; or with
            `user_item_mask` no feature of the user or of the candidate.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([
        rk.Categorical("user", num_ids=9, side="user"),
        rk.Categorical("item", num_ids=9),
        rk.Events("clicks", ids={"clicked": "item"}, max_length=5),
    ])
    model = rk.HyFormer(features, ["click"], token_dim=8)
    rows = {"user": [1, 2], "item": [7, 8], "clicked": [[3, 4, 5], []]}
    model.predict(rows)["click"].shape  # (2, 1)
    ```

    References:
        - HyFormer, arXiv 2601.12681; what it leaves open follows its baseline in
          KDD Cup 2026 or is ours, see docs/sequences.md.
    """

    def __init__(
        self,
        features: FeatureSet,
        tasks: Sequence[Task | str],
        token_dim: int = 64,
        num_tokens: int | None = None,
        num_queries: int = 2,
        num_blocks: int = 2,
        num_heads: int = 4,
        expansion: float = 4,
        encoder: LayerChoice = "swiglu",
        user_item_mask: bool = False,
        dropout: float = 0.0,
        tower_units: Sequence[int] = (),
        embedding_dim: int = 16,
        embedding_dropout: float = 0.0,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        dtype: Any = None,
        name: str = "hyformer",
        **kwargs: Any,
    ) -> None:
        settings = settings_of(locals())
        task_list, policy = as_tasks(tasks), settings["dtype"]
        kind, given = kind_and_arguments("encoder", encoder, ("swiglu", *ENCODERS))
        row = EmbeddedRow(features, settings)
        sequences = row.required_sequences(type(self).__name__)
        fields = row.by_side(user_item_mask)
        queries = len(sequences) * num_queries
        num_tokens = _tokens(token_dim, queries, row.field_count(), num_tokens, len(fields))
        widths = {stream: x.shape[1] for stream, x in fields.items()}
        counts = token_streams.shares(num_tokens, widths)
        rows = token_streams.of_fields(row, fields, counts, token_dim)
        owner = token_streams.USER if user_item_mask else token_streams.ALL
        events = [
            sequence.embedded(token_dim, f"sequence_{number}", policy)
            for number, sequence in enumerate(sequences, start=1)
        ]
        masks = [sequence.mask for sequence in sequences]
        q = _queries(rows[owner], events, masks, queries, policy)
        rows[owner] = TokenAssembly(name="tokens", dtype=policy)([q, rows[owner]])
        for index in range(1, num_blocks + 1):
            block = f"block_{index}"
            choice = {"num_heads": num_heads, **given, "kind": kind}
            if index > 1 and kind == "longer":
                choice["merge"] = 1  # events were merged in the first block
            if kind == "swiglu":
                choice = {"hidden": 4 * token_dim, "norm": "layer_norm", **given}
            decoded = []
            for number, sequence in enumerate(sequences):
                name_of_events = f"{block}_events_{number + 1}"
                if kind == "swiglu":
                    layer = EventSwiGLU(**choice, name=name_of_events, dtype=policy)
                    events[number] = layer(events[number])
                else:
                    events[number], masks[number] = encoded(
                        events[number], masks[number], choice, name_of_events, policy,
                        sequence.log_gap,
                    )  # fmt: skip
                own = rows[owner][:, number * num_queries : (number + 1) * num_queries]
                found = _decoding(
                    own, events[number], masks[number], num_heads, block, number + 1, policy
                )
                decoded.append(own + found)
            decoded.append(rows[owner][:, queries:])
            rows[owner] = TokenAssembly(name=f"{block}_query", dtype=policy)(decoded)
            rows = _boosted(rows, expansion, dropout, block, policy)
        read = [ops.reshape(rows[owner][:, :queries], (-1, queries * token_dim))]
        if user_item_mask:
            item = rows[token_streams.ITEM]
            read.append(ops.reshape(item, (-1, counts[token_streams.ITEM] * token_dim)))
        pooled = keras.layers.Dense(token_dim, name="read_out", dtype=policy)(side_by_side(read))
        pooled = LayerNorm(name="pooling", dtype=policy)(pooled)
        names = [task.name for task in task_list]
        outputs = TaskTowers(names, tower_units, name="towers", dtype=policy)(pooled)
        config = as_config(settings, num_tokens=num_tokens)
        super().__init__(row.inputs, outputs, features, task_list, config, name=name, **kwargs)


def _queries(fields: Any, events: list[Any], masks: list[Any], count: int, dtype: Any) -> Any:
    """`Q = FFN_n([F_1; ...; F_M; mean S_1; ...; mean S_J])`, a network for each of `count`."""
    means = [SequencePooling(dtype=dtype)(x, mask) for x, mask in zip(events, masks, strict=True)]
    tokens, width = fields.shape[1:]
    info = side_by_side([ops.reshape(fields, (-1, tokens * width)), *means])
    hidden = keras.layers.Dense(count * width, "gelu", name="query_hidden", dtype=dtype)(info)
    hidden = ops.reshape(hidden, (-1, count, width))
    return PerTokenDense(width, name="queries", dtype=dtype)(hidden)


def _decoding(
    queries: Any, events: Any, mask: Any, num_heads: int, block: str, number: int, dtype: Any
) -> Any:
    """`MHA(LN Q_j, LN H_j)`."""
    looks = LayerNorm(name=f"{block}_query_norm_{number}", dtype=dtype)
    seen = LayerNorm(name=f"{block}_event_norm_{number}", dtype=dtype)
    attention = EventAttention(num_heads, name=f"{block}_attention_{number}", dtype=dtype)
    return attention(looks(queries), seen(events), mask)


def _boosted(
    rows: token_streams.Streams, expansion: float, dropout: float, block: str, dtype: Any
) -> token_streams.Streams:
    """`X + PFFN(Mix(LN X))`."""
    before = token_streams.normed(rows, "layer_norm", f"{block}_{{}}norm", dtype)
    found = {}
    for stream, x in token_streams.mixed(before, f"{block}_mixing", dtype).items():
        name = f"{block}_{stream}network"
        network = PerTokenFFN(expansion, name=name, dropout=dropout, dtype=dtype)
        add = keras.layers.Add(name=f"{block}_{stream}ffn", dtype=dtype)
        found[stream] = add([rows[stream], network(x)])
    return found


def _tokens(token_dim: int, queries: int, fields: int, wanted: int | None, streams: int) -> int:
    """M, as asked for or as fits; every stream takes at least one."""
    possible = [d - queries for d in divisors(token_dim) if d - queries >= streams]
    fitting = [m for m in possible if m <= max(fields, streams)]
    if wanted is None and possible:
        return max(fitting, default=possible[0])
    if wanted in possible:
        return wanted
    total = queries + (wanted or streams)
    counts = nearest(wanted or streams, possible)
    raise ValueError(
        "The number of tokens T, queries included, must divide their width D. Received: T="
        f"{total} ({queries} queries and num_tokens={wanted or streams}), D={token_dim}. "
        f"With this width num_tokens in {counts} would work; with these tokens token_dim="
        f"{-(-token_dim // total) * total}."
    )
