"""What layers move in their calls, and replicas move together, after a compiled function."""

from collections.abc import Callable, Sequence
from typing import Any

import keras


class DeferredUpdates:
    """Variables of a network's layers of which replicas keep one, such as the penalty of `moe`.

    To assign one, replicas wait for one another, which they cannot within a function that XLA
    compiles. Nor may they while a layer is called: each goes on where it waited, and with Keras
    finds the losses that the other ones have meanwhile added. So a call only finds new values,
    and after it and the loss all replicas assign theirs.

    Args:
        network: the layers, as one Functional model; `None` defers nothing.
    """

    def __init__(self, network: keras.Model | None = None) -> None:
        variables = [] if network is None else network.variables
        self._others = [v for v in variables if v.trainable or not _is_shared(v)]
        self._shared = [v for v in variables if not v.trainable and _is_shared(v)]

    def __bool__(self) -> bool:
        return bool(self._shared)

    def found(self, call: Callable[[], Any]) -> tuple[Any, list[Any]]:
        """What a call of the network returns, and new values for `assign`."""
        if not self._shared:
            return call(), []
        with keras.StatelessScope(collect_losses=True) as scope:
            result = call()
        for variable in self._others:
            moved = scope.get_current_value(variable)
            if moved is not None:
                variable.assign(moved)
        found = [(v, scope.get_current_value(v)) for v in self._shared]
        return result, [v.value if moved is None else moved for v, moved in found]

    def assign(self, values: Sequence[Any]) -> None:
        """Assigns what `found` has found."""
        for variable, value in zip(self._shared, values, strict=True):
            variable.assign(value)


def _is_shared(variable: Any) -> bool:
    return variable.aggregation != "none" and variable.synchronization != "on_read"
