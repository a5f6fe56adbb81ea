"""AUC within users."""

import threading
from typing import Any

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.compat.xla import in_xla
from rankup_keras.kernels.program import host_variable, read_on_host
from rankup_keras.metrics.histograms import add_at, logits

LARGEST_LOGIT = 12.0


@serializable
class GAUC(keras.metrics.Metric):
    """Mean of the AUC within each group, such as a user's rows, weighted by the group's rows.

    A plain AUC also rewards telling active users from others, which no ranking
    for one user needs. Groups with labels of one class do not count.

    The model that it is compiled in hands it the groups, as the ids of a
    feature: of several hash functions the first one's. Values outside of a
    vocabulary share ids and thus groups.

    The memory is bounded: every group has a histogram of its scores for
    positives and one for negatives, `bins` wide over the logit in [-12, 12].
    Of more ids than `max_groups`, an evenly drawn part is watched, the same
    one in every run. `rankup_keras.metrics.exact.gauc` is the exact form on arrays.

    While `fit` or `evaluate` runs, the progress bar shows the value as of one of the
    pass's batches, 1, 4, 16, … and every 4096th, since it reads the whole of the
    histograms; the logs of an epoch, and what `evaluate` returns, are of all batches.

    Args:
        group: name of the single-valued `Categorical` to rank within.
        max_groups: most groups that are watched. Defaults to 8192.
        bins: defaults to 512.
        name: defaults to `"gauc"`.
        dtype: defaults to Keras's float type.

    Raises:
        ValueError: from `compile`: there is no such feature.

    Example:

    ```python
    import rankup_keras as rk

    rows = {"user": ["a", "a", "b", "b"], "ad": ["x", "y", "x", "y"], "click": [1, 0, 1, 0]}
    features = rk.FeatureSet([rk.Categorical("user"), rk.Categorical("ad")]).adapt(rows)
    model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
    model.compile(metrics=["auc", rk.metrics.GAUC("user")])
    model.fit(rows, verbose=0)
    print(model.evaluate(rows, verbose=0, return_dict=True)["gauc"])
    ```

    References:
        - Zhou et al., Deep Interest Network, arXiv 1706.06978, equation 10, with impressions as
          weights.
    """

    def __init__(
        self,
        group: str,
        max_groups: int = 8192,
        bins: int = 512,
        name: str = "gauc",
        dtype: Any = None,
    ) -> None:
        if isinstance(bins, bool) or int(bins) != bins or bins < 1:
            raise ValueError(f"`bins` must be a positive integer. Received: bins={bins!r}.")
        super().__init__(name=name, dtype=dtype)
        self.group = group
        self.max_groups = int(max_groups)
        self.bins = int(bins)
        self.slot: int | None = None
        self.rows = 0
        self._direction = "up"
        self._batches: dict[int, tf.Variable] = {}
        # A strategy's replicas are traced in threads that take turns.
        self._current = threading.local()

    def bind(self, features: Any) -> "GAUC":
        """Makes the histograms for a feature set's groups; `compile` of a model calls it.

        Args:
            features: the adapted `FeatureSet`.

        Returns:
            The metric itself.

        Raises:
            ValueError: `group` does not name a single-valued `Categorical`, or
                the metric is bound to a feature with other ids.
        """
        fields = {field.name: field for field in features.fields() if field.kind == "single"}
        if self.group not in fields:
            raise ValueError(
                f"`group` must name a single-valued Categorical, one of {sorted(fields)}. "
                f"Received: group={self.group!r}."
            )
        field = fields[self.group]
        rows = next(table.rows for table in features.tables() if table.name == field.table)
        if self.slot is not None:
            if (self.slot, self.rows) != (field.start, rows):
                raise ValueError(f"The metric {self.name!r} is bound to another feature set.")
            return self
        self.slot, self.rows = field.start, rows
        self.groups = min(rows, self.max_groups)
        self._prime = _prime_from(rows)
        shape, zeros = (self.groups * self.bins,), keras.initializers.Zeros()
        self._positives = self.add_variable(shape, zeros, "float32", name="positives")
        self._negatives = self.add_variable(shape, zeros, "float32", name="negatives")
        # The value as of the last batch that was shown.
        self._shown = self.add_variable((), zeros, "float32", "only_first_replica", name="shown")
        return self

    def read_groups(self, inputs: Any) -> None:
        """Takes the groups of the next `update_state` from the inputs of a model."""
        self._current.groups = None if inputs is None else inputs["encoded_ids"][:, self.slot]

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, groups: Any = None
    ) -> None:
        """Adds rows; `groups` (rows,) are ids of the feature, by default the model's inputs'."""
        ids = getattr(self._current, "groups", None) if groups is None else groups
        if ids is None or self.slot is None:
            raise ValueError(
                f"The metric {self.name!r} has no groups: `compile` of a model of this package "
                "hands them over; elsewhere call `bind(features)` and give `groups`."
            )
        # TensorFlow would clip int32 on the host, which then waits for a GPU.
        ids = tf.cast(tf.reshape(ids, (-1,)), tf.int64)
        y = tf.cast(tf.reshape(y_true, (-1,)), tf.float32)
        w = tf.ones_like(y)
        if sample_weight is not None:
            w = tf.cast(tf.reshape(sample_weight, (-1,)), tf.float32)
        if self.rows > self.groups:
            # Multiples of the golden ratio lie evenly, so that frequent ids, which come first,
            # have their fair part; modulo a prime no two ids meet in one place.
            step = round(self._prime * (5**0.5 - 1) / 2)
            place = ids * step % self._prime
            kept = place < self.groups
            w = tf.where(kept, w, tf.zeros_like(w))
            ids = tf.where(kept, place, tf.zeros_like(place))
        share = (logits(y_pred, 1e-7) / LARGEST_LOGIT + 1) / 2
        bin_ = tf.clip_by_value(tf.cast(share * self.bins, tf.int64), 0, self.bins - 1)
        place = ids * self.bins + bin_
        add_at(self._positives, place, w * y)
        add_at(self._negatives, place, w * (1 - y))
        if not in_xla():
            with tf.device("/cpu:0"):
                self._count().assign_add(1)

    def result(self) -> Any:
        if self.slot is None:
            return tf.constant(0.0)
        if not tf.inside_function() or in_xla():
            return self._of_histograms()
        with tf.device("/cpu:0"):
            number = read_on_host(self._count())
            power = tf.reduce_any(tf.equal(number, [4**k for k in range(6)]))
            due = power | tf.equal(number % 4096, 0)
        shown = tf.convert_to_tensor(self._shown)
        shown = tf.cond(due, self._of_histograms, lambda: shown)
        self._shown.assign(shown)
        return shown

    def reset_state(self) -> None:
        super().reset_state()
        for count in self._batches.values():
            count.assign(0)

    def _count(self) -> tf.Variable:
        """A replica's batches of the pass, on the host: to branch on them waits for no GPU."""
        context = tf.distribute.get_replica_context()
        replica = 0
        if context is not None:
            found = tf.convert_to_tensor(context.replica_id_in_sync_group)
            replica = int(tf.get_static_value(found))
        if replica not in self._batches:
            self._batches[replica] = host_variable(0)
        return self._batches[replica]

    def _of_histograms(self) -> tf.Tensor:
        positives, negatives = (
            tf.reshape(tf.convert_to_tensor(sums), (self.groups, self.bins))
            for sums in (self._positives, self._negatives)
        )
        below = tf.cumsum(negatives, axis=1) - negatives / 2
        pairs = tf.reduce_sum(positives * below, axis=1)
        all_positives, all_negatives = (tf.reduce_sum(v, axis=1) for v in (positives, negatives))
        values = tf.math.divide_no_nan(pairs, all_positives * all_negatives)
        known = (all_positives > 0) & (all_negatives > 0)
        sizes = tf.where(known, all_positives + all_negatives, 0.0)
        return tf.math.divide_no_nan(tf.reduce_sum(values * sizes), tf.reduce_sum(sizes))

    def get_config(self) -> dict[str, Any]:
        return {
            "group": self.group,
            "max_groups": self.max_groups,
            "bins": self.bins,
            "name": self.name,
            "dtype": self.dtype,
        }


def _prime_from(number: int) -> int:
    """The first prime that is not below a number."""
    number = max(2, number)
    while any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
        number += 1
    return number
