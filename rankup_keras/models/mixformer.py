"""MixFormer."""

import functools
from collections.abc import Sequence
from typing import Any

from rankup_keras._registry import serializable
from rankup_keras.features import FeatureSet
from rankup_keras.layers.divisibility import divisors, must_divide
from rankup_keras.layers.mixers import PerTokenSwiGLU, Residual
from rankup_keras.layers.sequences import EventSwiGLU, HeadAttention, MergedEvents
from rankup_keras.layers.towers import Task, TaskTowers, TokenPooling
from rankup_keras.models import token_streams
from rankup_keras.models.arguments import as_config, settings_of, with_shared_arguments
from rankup_keras.models.embedded_row import EmbeddedRow
from rankup_keras.models.labels import as_tasks
from rankup_keras.models.ranking_model import RankingModel


@with_shared_arguments
@serializable
class MixFormer(RankingModel):
    """MixFormer: heads of the row, mixed, ask the events in every block.

    All fields but the sequences are concatenated and cut into N heads of width
    D; events have width N D. A block, with a network of its own per head:

    `P = Mix(norm X) + X`, `Q = SwiGLU(norm P) + P`,
    `h_t = SwiGLU(norm s_t) + s_t` of the events s_t of the input,
    `Z_i = sum_t softmax_t(Q_i . K_i h_t^i / sqrt(D)) V_i h_t^i + Q_i`,
    `O = SwiGLU(norm Z) + Z`

    Head i reads slice i of the events. Several sequences are merged: events get
    a learned vector of their sequence, and one softmax goes over all of them.
    (Nothing in a block depends on the order of events, so that merging by time
    is the same.) One tower per task reads the mean of the heads.

    **Once per user.** With `user_item_mask` half of the heads are made of the
    user's features alone, and mixing keeps the candidate out of them: what they
    compute is the same for all candidates, and `rank` computes it once. Events
    and all that is projected of them are computed once in any case.

    Args:
        features: adapted `FeatureSet` with at least one `Events` or `History`.
        tasks: list of `Task` or of task names.
        token_dim: int. Width D of a head. Defaults to 64.
        num_heads: int or `None`. N, which must divide D. `None` (default) takes
            the largest even divisor up to the number of fields and 16.
        num_blocks: int. Defaults to 2.
        expansion: float. Width of the heads' networks in widths of a head.
            Defaults to 2.
        event_expansion: float. Width of the events' networks in widths of an
            event. Defaults to 0.25.
        merge: bool. `True` (default) as above; `False` for an attention to each
            sequence by itself, their results added.
        user_item_mask: bool. Defaults to `False`.
        norm: `"rms_norm"` (default), `"layer_norm"` or `None`.
        pooling: `"mean"` (default) or `"flatten"`.
        dropout: float. Dropout rate on the networks' residual branches. Defaults
            to 0.
        tower_units: list of ints, hidden layers of each task's tower. Defaults
            to none.
        {shared}

    Raises:
        ValueError: no sequence; N does not divide D; or with `user_item_mask` an
            odd N, or no feature of the user or of the candidate.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([
        rk.Categorical("user", num_ids=9, side="user"),
        rk.Categorical("item", num_ids=9),
        rk.Events("clicks", ids={"clicked": "item"}, max_length=5),
    ])
    model = rk.MixFormer(features, ["click"], token_dim=8, user_item_mask=True)
    rows = {"user": [1, 2], "item": [7, 8], "clicked": [[3, 4, 5], []]}
    model.predict(rows)["click"].shape  # (2, 1)
    ```

    References:
        - MixFormer, arXiv 2602.14110. Widths of the networks, the read-out and
          several sequences are not published; see docs/sequences.md.
    """

    def __init__(
        self,
        features: FeatureSet,
        tasks: Sequence[Task | str],
        token_dim: int = 64,
        num_heads: int | None = None,
        num_blocks: int = 2,
        expansion: float = 2,
        event_expansion: float = 0.25,
        merge: bool = True,
        user_item_mask: bool = False,
        norm: str | None = "rms_norm",
        pooling: str = "mean",
        dropout: float = 0.0,
        tower_units: Sequence[int] = (),
        embedding_dim: int = 16,
        embedding_dropout: float = 0.0,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        dtype: Any = None,
        name: str = "mixformer",
        **kwargs: Any,
    ) -> None:
        settings = settings_of(locals())
        task_list, policy = as_tasks(tasks), settings["dtype"]
        row = EmbeddedRow(features, settings)
        sequences = row.required_sequences(type(self).__name__)
        fields = row.by_side(user_item_mask)
        if num_heads is None:
            count = max(2, min(16, row.field_count()))
            even = [d for d in divisors(token_dim) if d % 2 == 0 and d <= count]
            num_heads = max(even, default=1)
        must_divide("num_heads", num_heads, token_dim)
        heads = {token_streams.ALL: num_heads}
        if user_item_mask:
            if num_heads % 2:
                raise ValueError(
                    "`num_heads` must be even with `user_item_mask`: half of them are the user's. "
                    f"Received: num_heads={num_heads}."
                )
            heads = dict.fromkeys(fields, num_heads // 2)
        first = {stream: 0 if stream != token_streams.ITEM else num_heads // 2 for stream in fields}
        streams = token_streams.of_fields(row, fields, heads, token_dim)
        streams = token_streams.assembled(streams, policy)
        width = num_heads * token_dim
        events = [
            sequence.embedded(width, f"sequence_{number}", policy)
            for number, sequence in enumerate(sequences, start=1)
        ]
        masks = [sequence.mask for sequence in sequences]
        if merge and len(events) > 1:
            whole, mask = MergedEvents(name="merged_events", dtype=policy)(events, masks)
            events, masks = [whole], [mask]
        for index in range(1, num_blocks + 1):
            block = f"block_{index}"

            def network(of: str, part: str, block: str = block) -> Any:
                name = f"{block}_{of}{part}"
                inner = PerTokenSwiGLU(expansion, name=f"{name}_network", dtype=policy)
                return Residual(inner, "pre", norm, dropout=dropout, name=name, dtype=policy)

            streams = token_streams.residual_mixing(streams, block, policy, norm)
            streams = token_streams.each(streams, functools.partial(network, part="query"))
            found: dict[str, Any] = {}
            for number, (mask, s) in enumerate(zip(masks, events, strict=True), start=1):
                hidden = max(1, round(event_expansion * width))
                h = EventSwiGLU(hidden, norm, name=f"{block}_events_{number}", dtype=policy)(s)
                asked = {}
                for stream, q in streams.items():
                    attention = HeadAttention(
                        num_heads, first[stream], name=f"{block}_{stream}attention_{number}",
                        dtype=policy,
                    )  # fmt: skip
                    asked[stream] = attention(q, h, mask)
                found = {k: found[k] + x for k, x in asked.items()} if found else asked
            streams = {stream: q + found[stream] for stream, q in streams.items()}
            streams = token_streams.each(streams, functools.partial(network, part="ffn"))
        streams = token_streams.normed(streams, norm, "{}final_norm", policy)
        pooled = TokenPooling(pooling, name="pooling", dtype=policy)(token_streams.joined(streams))
        names = [task.name for task in task_list]
        outputs = TaskTowers(names, tower_units, name="towers", dtype=policy)(pooled)
        config = as_config(settings, num_heads=num_heads)
        super().__init__(row.inputs, outputs, features, task_list, config, name=name, **kwargs)
