"""What a user's events say of the candidate itself."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer


@serializable
class EventMatches(ConfiguredLayer):
    """Counts the events that have the candidate's id, and tells how long ago the last one was.

    With `m_t = 1` where event t has the id of the candidate and the id is known, else 0:

    `[log(1 + sum_t m_t), max_t m_t (1 - g_t)^+, sum_t m_t x_t / max(1, sum_t m_t)]`

    g is the gap, in [0, 1] for what may count as recent, and x are numbers of the
    events. Attention has to learn from embeddings that two ids are the same; here
    it is given, for ids that are rare too.

    Args:
        hashes: int. Ids of a value: all have to be the same. Defaults to 1.
        first_known: int. The first id that is neither missing nor unknown.
            Defaults to 1.

    Call arguments:
        candidate: integer tensor (batch, hashes).
        events: integer tensor (batch, hashes * L), newest first, one hash
            function's ids after the other's; 0 is padding.
        gap: float tensor (batch, L), or `None` for the place as gap:
            `log(1 + t) / log(1 + L)`, t from 0.
        numbers: float tensor (batch, L, C), or `None` for none.

    Returns:
        Tensor (batch, 2 + C), all zeros where nothing matches.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    candidate, events = np.array([[7], [8]]), np.array([[7, 3, 7], [9, 0, 0]])
    gap = np.array([[0.25, 0.5, 0.75], [0.5, 0, 0]], "float32")
    print(rk.layers.EventMatches()(candidate, events, gap))     # log(3) .75, 0 0
    ```

    References:
        - The hard search of Search-based Interest Model, arXiv 2006.05639, section 3.1
          (behaviors of the candidate's category are selected); what is made of
          them here are numbers.
    """

    # Many candidates may be compared with one user's row of events.
    one_user_inputs = True

    def __init__(self, hashes: int = 1, first_known: int = 1, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        if hashes < 1 or first_known < 1:
            raise ValueError(
                "`hashes` and `first_known` must be positive. "
                f"Received: hashes={hashes}, first_known={first_known}."
            )
        self.hashes = hashes
        self.first_known = first_known

    def call(self, candidate: Any, events: Any, gap: Any = None, numbers: Any = None) -> Any:
        length = events.shape[1] // self.hashes
        events = ops.reshape(events, (-1, self.hashes, length))
        same = ops.equal(events, ops.expand_dims(ops.cast(candidate, events.dtype), 2))
        match = ops.all(ops.logical_and(same, events >= self.first_known), axis=1)
        m = ops.cast(match, "float32")
        if gap is None:
            gap = ops.log1p(ops.arange(length, dtype="float32")) / ops.log1p(float(length))
        count = ops.sum(m, axis=1, keepdims=True)
        recent = ops.where(match, 1 - ops.cast(gap, "float32"), 0.0)
        found = [ops.log1p(count), ops.maximum(ops.max(recent, axis=1, keepdims=True), 0)]
        if numbers is not None:
            own = ops.where(ops.expand_dims(match, 2), ops.cast(numbers, "float32"), 0.0)
            found.append(ops.sum(own, axis=1) / ops.maximum(count, 1))
        return ops.cast(ops.concatenate(found, axis=1), self.compute_dtype)

    def compute_output_shape(
        self,
        candidate_shape: Sequence[int | None],
        events_shape: Any = None,
        gap_shape: Any = None,
        numbers_shape: Any = None,
    ) -> tuple[int | None, ...]:
        return (candidate_shape[0], 2 + (0 if numbers_shape is None else numbers_shape[-1]))
