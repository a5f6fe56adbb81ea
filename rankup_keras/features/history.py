"""Histories of user actions."""

from typing import Any

import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.features.feature import Feature, Side, one_of, positive_int
from rankup_keras.features.spec import COMBINERS

ORDERS = ("oldest_first", "newest_first", "unordered")


@serializable
class History(Feature):
    """A history of another feature's values, read from that feature's table.

    Values are preprocessed exactly as the other feature's (one vocabulary, one
    table), padding (`""` or `-1`) is dropped wherever it stands, and of an
    over-long history the newest values are kept. Whatever the order in the data,
    models see the newest value first.

    `Events` describe more than ids: times, actions and numbers beside them.

    Args:
        name: str. Name of the raw column.
        of: str. Name of the single-valued `Categorical` whose values these are.
        max_length: int. Number of values kept.
        order: `"oldest_first"` (default) or `"newest_first"`, how the values
            stand in the data: it says which of them are the newest.
        combiner: `"mean"` (default), `"sum"` or `"sqrtn"`. Reduction where a
            model wants the history as one vector.
        matches: bool. Whether models also read how many of the kept values are
            the candidate's, and how new the newest of them is, see `Events`.
            Defaults to `False`.
        side: see `Feature`. Defaults to `"user"`.
        group: see `Feature`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([
        rk.Categorical("item", vocabulary=["a", "b", "c"]),
        rk.History("clicked", of="item", max_length=2),
    ])
    encoded = features.encode({"item": ["a"], "clicked": [["a", "b", "c"]]})["encoded_ids"]
    assert encoded.tolist() == [[2, 4, 3]]  # 0 is missing, 1 unknown; the newest click first
    ```
    """

    def __init__(
        self,
        name: str,
        of: str,
        max_length: int,
        order: str = "oldest_first",
        combiner: str = "mean",
        matches: bool = False,
        side: Side | None = "user",
        group: str | None = None,
    ) -> None:
        super().__init__(name, side, group)
        owner = f"feature {name!r}"
        self.of = of
        self.max_length = positive_int(max_length, "max_length", owner)
        self.order = one_of(order, ORDERS[:2], "order", owner)
        self.combiner = one_of(combiner, COMBINERS, "combiner", owner)
        self.matches = one_of(matches, (False, True), "matches", owner)

    @property
    def matched(self) -> dict[str, str]:
        """Column that is compared with the candidate → the feature that it is compared with."""
        return {self.name: self.of} if self.matches else {}

    @property
    def keep(self) -> str:
        """Which end of an over-long history is kept, see `encoding.fixed_length`."""
        return "last" if self.order == "oldest_first" else "first"

    def raw_spec(self) -> tf.TensorSpec:
        # The dtype is the other feature's; `FeatureSet.raw_spec` puts it in.
        return tf.TensorSpec((None, None), tf.string, name=self.name)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for argument in ("of", "max_length", "order", "combiner", "matches"):
            config[argument] = getattr(self, argument)
        return config
