"""What row-sparse optimizers share: summed repeats, clipping, refusal of dense passes."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from rankup_keras.compat.optimizers import ClipsNamedRows, slot
from rankup_keras.compat.weight_files import write_variable
from rankup_keras.compat.xla import in_xla
from rankup_keras.kernels.program import beside, has_accelerator


def summed_rows(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """The same gradient with every row named once, its repeats summed."""
    if getattr(gradient, "rows_are_summed", False):
        return gradient
    rows, place = tf.unique(gradient.indices)
    values = _sum_at(place, gradient.values, _count(rows))
    summed = tf.IndexedSlices(values, rows, gradient.dense_shape)
    summed.rows_are_summed = True
    return summed


def _count(rows: tf.Tensor) -> tf.Tensor:
    # TensorFlow counts int32 in host memory alone, and would wait for a GPU to copy them there.
    far = has_accelerator() and rows.dtype == tf.int32
    return tf.size(tf.bitcast(rows, tf.float32) if far else rows)


def _sum_at(place: tf.Tensor, values: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """`values` summed by place, (count, width)."""
    plain = values.dtype == tf.float32 and values.shape.rank == 2
    if not plain or has_accelerator() or in_xla():
        return tf.math.unsorted_segment_sum(values, place, count)
    # A sparse matrix of ones times the values: the same sums in the same order, and on CPUs in
    # half the time of the segment sum, which makes a tensor of every row.
    number = tf.size(place)
    return tf.raw_ops.SparseTensorDenseMatMul(
        a_indices=tf.stack([place, tf.range(number)], axis=1),
        a_values=tf.ones([number], values.dtype),
        a_shape=tf.cast(tf.stack([count, number]), tf.int64),
        b=values,
    )


def _with_values(gradient: Any, values: tf.Tensor) -> Any:
    if not isinstance(gradient, tf.IndexedSlices):
        return values
    changed = tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    changed.rows_are_summed = getattr(gradient, "rows_are_summed", False)
    return changed


def _values(gradient: Any) -> tf.Tensor:
    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def scale_gradient(gradient: Any, factor: Any) -> Any:
    """`factor * gradient` without making a dense one of named rows."""
    values = _values(gradient)
    return _with_values(gradient, values * tf.cast(factor, values.dtype))


def clip_gradients(gradients: Sequence[Any], optimizer: Any) -> list[Any]:
    """Keras's three ways of clipping, on dense gradients and on named rows alike.

    Repeated rows are summed first: the norm of the parts is not the norm of
    the gradient. The missing rows are zeros, and neither norm nor clipped
    value of a zero matters.

    Args:
        gradients: dense or named rows, or `None`.
        optimizer: has `clipnorm`, `clipvalue` and `global_clipnorm`, of which at most one is set.
    """
    clipnorm, clipvalue = optimizer.clipnorm, optimizer.clipvalue
    global_clipnorm = optimizer.global_clipnorm
    if not (clipnorm or clipvalue or global_clipnorm):
        return list(gradients)
    gradients = [summed_rows(g) if isinstance(g, tf.IndexedSlices) else g for g in gradients]
    present = [_values(g) for g in gradients if g is not None]
    if clipnorm:
        clipped = [tf.clip_by_norm(v, clipnorm) for v in present]
    elif clipvalue:
        clipped = [tf.clip_by_value(v, -clipvalue, clipvalue) for v in present]
    else:
        clipped, _ = tf.clip_by_global_norm(present, global_clipnorm)
    remaining = iter(clipped)
    return [g if g is None else _with_values(g, next(remaining)) for g in gradients]


class Filled(keras.initializers.Initializer):
    """A constant slot made in one allocation; Keras's `Constant` makes two of the table's size."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None) -> tf.Tensor:
        return tf.fill(shape, tf.cast(self.value, dtype or keras.config.floatx()))


def read_rows(variable: Any, rows: tf.Tensor) -> tf.Tensor:
    """Rows of a variable, by a gather that fetches ahead."""
    return tf.raw_ops.ResourceGather(
        resource=variable.handle, indices=rows, dtype=tf.as_dtype(variable.dtype)
    )


def write_rows(variable: Any, rows: tf.Tensor, values: tf.Tensor) -> None:
    """Overwrites rows of a variable in place."""
    tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=rows, updates=values)


class RowSparse(ClipsNamedRows):
    """Mixed into a Keras optimizer, gives it updates that touch only the rows of a gradient.

    A gradient that names rows (`tf.IndexedSlices`) goes to `new_rows`, its
    repeats summed; a dense one to Keras's own update. Options of Keras's
    optimizers that would pass over the whole table at every step are refused.

    The updates read rows, compute, and write rows. TensorFlow has kernels that
    do all of it at once (`ResourceSparseApplyAdagrad` and its kin), but they
    wait for memory at every row, where the gather fetches ahead and the write
    does not wait: two to four times as fast (`benchmarks/embeddings_update.py`).

    Attributes:
        slots: names of the slots that `new_rows` reads and writes.
        rate_factor: function that gives a factor of the learning rate; see `Split`.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    row_sparse_updates = True
    rate_factor: Callable[[], Any] | None = None

    def new_rows(
        self, variable: Any, gradient: tf.Tensor, rate: tf.Tensor, weight: tf.Tensor, *slots: Any
    ) -> tuple[tf.Tensor, ...]:
        """The equation: rows of `weight` and `slots`, all (n, width), after one step.

        Args:
            variable: whose rows they are.
            gradient: (n, width), repeats summed.
            rate: the learning rate, of the variable's dtype.
            weight: the rows as they are.
            *slots: the same rows of every slot.

        Returns:
            The new rows of the weight and of every slot.
        """
        raise NotImplementedError  # abstract: it is what an optimizer is

    def update_rows(
        self, rows: tf.Tensor, gradient: tf.Tensor, variable: tf.Variable, rate: tf.Tensor
    ) -> None:
        """Updates `variable` at `rows` (n,), all different, with `gradient` (n, width)."""
        stores = [variable, *(slot(self, name, variable) for name in self.slots)]
        held = [read_rows(store, rows) for store in stores]
        for store, new in zip(stores, self.new_rows(variable, gradient, rate, *held), strict=True):
            write_rows(store, rows, new)

    def update_dense(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates all of `variable`: Keras's own update."""
        super().update_step(gradient, variable, learning_rate)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        learning_rate = tf.cast(learning_rate, variable.dtype)
        if not isinstance(gradient, tf.IndexedSlices):
            self.update_dense(tf.cast(gradient, variable.dtype), variable, learning_rate)
            return
        with beside(variable):
            summed = summed_rows(gradient)
            values = tf.cast(summed.values, variable.dtype)
            self.update_rows(summed.indices, values, variable, learning_rate)

    @property
    def learning_rate(self) -> Any:
        """The rate of the next step; of a `Split`'s tables, in their ratio."""
        own = super().learning_rate
        return own if self.rate_factor is None else own * self.rate_factor()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if self.rate_factor is not None:
            factor = float(self.rate_factor())
            if not factor:
                raise ValueError(
                    "The tables' learning rate follows that of the dense part, which is 0. "
                    f"Received: learning_rate={value}."
                )
            value = value / factor
        keras.optimizers.Optimizer.learning_rate.fset(self, value)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        grads = list(grads)
        if any(isinstance(g, tf.IndexedSlices) for g in grads):
            self._refuse_dense_passes()
        super().apply(grads, trainable_variables)

    def save_own_variables(self, store: Any) -> None:
        for index, variable in enumerate(self.variables):
            write_variable(store, str(index), variable)

    def load_own_variables(self, store: Any) -> None:
        with beside(self.variables[-1].value):  # a slot, which lies beside its table
            super().load_own_variables(store)

    def _refuse_dense_passes(self) -> None:
        for option, problem in (
            ("weight_decay", "passes over every row; give the layer an `embeddings_regularizer`"),
            ("gradient_accumulation_steps", "passes over every row; use a larger batch"),
            ("use_ema", "passes over every row; use it in the optimizer of the dense part"),
            ("loss_scale_factor", "divides all; use mixed_bfloat16, which needs no loss scaling"),
        ):
            value = getattr(self, option)
            if value:
                raise ValueError(
                    f"`{option}` has no row-sparse form: at every step it {problem}. "
                    f"Received: {option}={value} in the optimizer '{self.name}'."
                )

    def clip_gradients(self, gradients: Sequence[Any]) -> list[Any]:
        return clip_gradients(gradients, self)

    def add_variable(self, shape: Any, initializer: Any = "zeros", **kwargs: Any) -> Any:
        if isinstance(initializer, keras.initializers.Constant):
            initializer = Filled(initializer.value)
        return super().add_variable(shape, initializer, **kwargs)
