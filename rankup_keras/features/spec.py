"""What preprocessing promises to the embedding stage: tables, and the id slots that read them."""

import dataclasses
from typing import Any, Literal

Kind = Literal["single", "bag", "sequence"]
# How the rows of a bag or a sequence become one vector.
COMBINERS = ("mean", "sum", "sqrtn")


@dataclasses.dataclass(frozen=True)
class TableSpec:
    """One embedding table, before it is repeated for every table set.

    Attributes:
        name: unique name; the name of the feature that owns it.
        rows: number of rows. Row 0 stands for "missing" (single-valued
            features) or "padding" (multi-valued features and sequences).
        dim: width of a row, or `None` for the model's `embedding_dim`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    assert features.tables() == [rk.features.TableSpec("item", rows=101)]
    ```
    """

    name: str
    rows: int
    dim: int | None = None

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class FieldSpec:
    """One field: a run of id slots in `encoded_ids` and the table that they read.

    The values' ids by the first hash function stand in the slots
    `start .. start + length - 1`, those by the second, where there is one, in
    the next `length` slots, and so on. A value that is missing has id 0 by all
    of them.

    Attributes:
        name: the feature's name.
        table: name of the `TableSpec` it reads; several fields may share one.
        start: index of the first slot in `encoded_ids` (batch, slots).
        length: number of values.
        kind: `"single"` reads one row (id 0 is a learned "missing" row);
            `"bag"` reduces its rows with `combiner`, id 0 being padding that
            does not count; `"sequence"` keeps its rows in order, id 0 being
            padding at the end.
        combiner: `"mean"`, `"sum"` or `"sqrtn"` for a bag; for a sequence the
            reduction used where a model wants it as one vector.
        weight_start: index of the first slot in `encoded_weights`
            (batch, weight slots) for a weighted bag, else `None`. One weight a
            value.
        hashes: number of ids of one value, whose rows' mean is its vector.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    assert features.fields() == [rk.features.FieldSpec("item", table="item", start=0)]
    ```
    """

    name: str
    table: str
    start: int
    length: int = 1
    kind: Kind = "single"
    combiner: str = "mean"
    weight_start: int | None = None
    hashes: int = 1

    @property
    def slots(self) -> int:
        """Number of id slots."""
        return self.length * self.hashes

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class MatchSpec:
    """Values of a sequence that are compared with the candidate's, see `Events`.

    Attributes:
        sequence: name of the `Events` or `History`.
        column: its column of ids, the name of a field.
        of: name of the candidate's feature, whose table the column reads.
        first_known: the first id that is neither missing nor unknown.
        numbers: names of what is averaged over the events that match.
    """

    sequence: str
    column: str
    of: str
    first_known: int
    numbers: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """What a model reads of it, a number each."""
        return [f"{self.column}:{name}" for name in ("count", "recency", *self.numbers)]
