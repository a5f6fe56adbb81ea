"""Yesterday's model, ready to train on a day's rows."""

import dataclasses
import os
from typing import Any

import pyarrow as pa

from rankup_keras.features import FeatureSet, grow
from rankup_keras.models.calibrated import Calibrated
from rankup_keras.models.ranking_model import RankingModel
from rankup_keras.models.warm_start_report import WarmStart
from rankup_keras.models.warm_starting import warm_start
from rankup_keras.models.weight_transfer import rebuild


@dataclasses.dataclass
class NextDay:
    """What `next_day` made of a model and a day's rows.

    Attributes:
        model: the model to train, compiled as the old one is.
        ledger: pyarrow table of values and counts, for the next call.
        changes: feature → numbers of values `kept`, `added` and `evicted`, see `features.Grown`.
        moved: a `WarmStart`, what the weights are of.

    Example:

    ```python
    import rankup_keras as rk

    monday = {"ad": ["a", "b"], "click": [0, 1]}
    features = rk.FeatureSet([rk.Categorical("ad")]).adapt(monday)
    model = rk.DCNv2(features, ["click"], embedding_dim=4)
    print(rk.models.next_day(model, {"ad": ["b", "c"]}, day=1))
    ```
    """

    model: RankingModel
    ledger: pa.Table
    changes: dict[str, dict[str, int]]
    moved: WarmStart

    def __str__(self) -> str:
        lines = [
            f"values of {name}: " + ", ".join(f"{n:,} {what}" for what, n in change.items())
            for name, change in self.changes.items()
        ]
        return "\n".join([*lines, str(self.moved)])


def next_day(
    old: RankingModel,
    data: Any,
    ledger: pa.Table | str | os.PathLike[str] | None = None,
    *,
    day: int,
    new_rows: str = "initializer",
    into: FeatureSet | None = None,
    **rules: Any,
) -> NextDay:
    """Grows vocabularies by a day's rows and starts a new model from the old one's weights.

    It is `features.grow`, `models.rebuild` and `warm_start`, one after the other, and what
    `rankup-keras update` does before it trains.

    Args:
        old: yesterday's model, which stays as it is; of a `Calibrated` one its `base`.
        data: today's rows, in any of the forms that `features.grow` takes.
        ledger: the `ledger` of the last call, or the path of a Parquet file of it. `None`
            (default) on the first day.
        day: int. Number of the day.
        new_rows: what rows of new values start as, see `warm_start`.
        into: features of the new model, see `features.grow`. Defaults to those of `old`.
        rules: `min_count`, `decay`, `evict_after`, `evict_below`, `moments_window` and `fixed` of
            `features.grow`.

    Returns:
        `NextDay`, which prints as a table. Its model is to be trained on the same rows.

    Raises:
        ValueError: what `features.grow` and `warm_start` refuse.

    Example:

    ```python
    import rankup_keras as rk

    monday = {"ad": ["a", "b", "a"], "user": ["x", "y", "y"], "click": [0, 1, 0]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(monday)
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
    model.compile()
    model.fit(monday, verbose=0)

    tuesday = {"ad": ["b", "c"], "user": ["x", "z"], "click": [1, 0]}
    found = rk.models.next_day(model, tuesday, day=1, evict_after=30)
    found.model.fit(tuesday, verbose=0)
    print(found)  # values of ad: 2 kept, 1 added, 0 evicted ...
    ```
    """
    old = old.base if isinstance(old, Calibrated) else old
    grown = grow(old.features, data, ledger, day=day, into=into, **rules)
    model = rebuild(old, grown.features)
    moved = warm_start(model, old, new_rows)
    return NextDay(model, grown.ledger, grown.changes, moved)
