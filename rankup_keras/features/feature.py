"""The base of every feature: a named raw column and how it is described in a config."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf

Side = Literal["user", "candidate"]

_SIDES = ("user", "candidate", None)


class Feature:
    """One raw column of a row.

    A feature is a description: it holds no tensors, and what `adapt` learns
    lives in the `FeatureSet`.

    Args:
        name: str. Name of the raw column, unique within a `FeatureSet`. It is
            also the name of the tensor in an exported signature.
        side: `"user"`, `"candidate"` or `None`. Whose property the column is
            when several candidates are ranked for one user: a serving request
            sends user columns once. `None` counts as a candidate's.
        group: str or `None`. Semantic group, used by tokenizers that put
            fields of one meaning into one token.

    Example:

    ```python
    import rankup_keras as rk

    feature = rk.Numeric("price", side="candidate", group="offer")
    assert isinstance(feature, rk.features.Feature)
    assert rk.Numeric.from_config(feature.get_config()).group == "offer"
    ```
    """

    _reserved: ClassVar[tuple[str, ...]] = (
        "encoded_ids",
        "encoded_numeric",
        "encoded_vectors",
        "encoded_weights",
    )

    def __init__(self, name: str, side: Side | None = None, group: str | None = None) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"`name` must be a non-empty string. Received: name={name!r}.")
        if name in self._reserved:
            raise ValueError(
                f"`name` must not be one of the package's own tensor names {self._reserved}. "
                f"Received: name={name!r}. Rename the column, to {name + '_'!r} for example."
            )
        self.name = name
        self.side = one_of(side, _SIDES, "side", f"feature {name!r}")
        self.group = group

    def raw_spec(self) -> tf.TensorSpec:
        """Shape and dtype of the raw column, batch dimension first."""
        raise NotImplementedError  # abstract: each kind of feature defines its own column

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "side": self.side, "group": self.group}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Feature":
        return cls(**config)

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items() if v is not None)
        return f"{type(self).__name__}({settings})"


def positive_int(value: Any, argument: str, owner: str, optional: bool = False) -> int | None:
    """`value` as a positive int, or an error that names the feature and the argument."""
    if value is None and optional:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(
            f"`{argument}` of {owner} must be a positive integer. Received: {argument}={value!r}."
        )
    return int(value)


def one_of(value: Any, choices: Sequence[Any], argument: str, owner: str) -> Any:
    """`value`, or an error that names the feature, the argument and the choices."""
    if value not in choices:
        raise ValueError(
            f"`{argument}` of {owner} must be one of {choices}. Received: {argument}={value!r}."
        )
    return value
