"""What a Keras optimizer keeps of its variables, for optimizers that update rows."""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat.mixed_in import MixedIn


def variable_index(optimizer: Any, variable: Any) -> int:
    """Place of a variable among those that the optimizer was built with.

    Inside of a strategy an update sees a replica's part of the variable, which Keras alone
    finds again. Keras's own guide to optimizers calls the method; it has no public name. Read in
    Keras 3.15.1. It can go once it has one.
    """
    return int(optimizer._get_variable_index(variable))


def slot(optimizer: Any, name: str, variable: Any) -> Any:
    """A variable's slot, such as its `"accumulators"`, `"momentums"` or `"linears"`.

    Keras's optimizers keep them in lists whose names begin with an underscore. Read in
    Keras 3.15.1. It can go once an optimizer gives its slots by name.
    """
    return getattr(optimizer, f"_{name}")[variable_index(optimizer, variable)]


def slots_beside(optimizer: Any, variable: Any) -> contextlib.AbstractContextManager[Any]:
    """Within it an optimizer's variables are made where another one lies, as Keras makes slots.

    Keras does so for slots of a variable's own shape, in `add_variable_from_reference`; no public
    method does it for others. Read in Keras 3.15.1. It can go once that one takes a shape.
    """
    value = getattr(variable, "value", variable)
    return optimizer._distribution_strategy.extended.colocate_vars_with(value)


def known_gradients(
    optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Gradients that are there and their variables, which the optimizer must know.

    What Keras's `apply` does before it updates, for an `apply` of one's own; no public method
    does it. Read in Keras 3.15.1. It can go once `apply` has a hook between the two.
    """
    optimizer._check_variables_are_known(variables)
    gradients, variables = optimizer._filter_empty_gradients(gradients, variables)
    return list(gradients), list(variables)


def without_loss_scaling(optimizer: Any) -> Any:
    """The optimizer that Keras's `LossScaleOptimizer` wraps, or the one given."""
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer.inner_optimizer if scaled else optimizer


def scale_by_rows(optimizer: Any) -> None:
    """Makes a `LossScaleOptimizer` look for infinity in the rows that gradients name alone.

    Keras makes a tensor of all rows of the table for it, at every step. Its `check_finite` is
    replaced on the instance, since Keras makes that itself in `compile`. Read in Keras 3.15.1. It
    can go once `check_finite` takes `tf.IndexedSlices` as they are.
    """
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return
    check = type(optimizer).check_finite

    def check_finite(grads: Any) -> Any:
        rows = [g.values if isinstance(g, tf.IndexedSlices) else g for g in grads]
        return check(optimizer, rows)

    optimizer.check_finite = check_finite


class ClipsNamedRows(MixedIn):
    """Mixed into a Keras optimizer, clips by its own `clip_gradients`.

    Keras's clipping takes the norm of the parts of a gradient that names rows, or makes a dense
    one of it; it is no public method, and `apply` calls it after the gradients were filtered and
    before they are summed over replicas. Read in Keras 3.15.1. It can go once Keras clips
    `tf.IndexedSlices` by their sums.
    """

    def clip_gradients(self, gradients: Sequence[Any]) -> list[Any]:
        """The clipped gradients."""
        raise NotImplementedError  # abstract: the optimizer knows how

    def _clip_gradients(self, grads: Sequence[Any]) -> list[Any]:
        return self.clip_gradients(grads)


def slots_of(optimizer: Any, variable: Any) -> dict[str, Any]:
    """All that an optimizer keeps of a variable, by the name of the slot; nothing of frozen ones.

    Keras's optimizers keep every kind of slot in a list of its own, in the order of the
    variables that they train; no public method gives them by variable. Read in Keras 3.15.1. It
    can go with `slot`.
    """
    try:
        index = variable_index(optimizer, variable)
    except KeyError:  # frozen when the optimizer was built
        return {}
    trained = optimizer._trainable_variables
    found = {}
    for name, held in vars(optimizer).items():
        lists = isinstance(held, list) and len(held) == len(trained)
        if lists and name not in ("_trainable_variables", "_variables"):
            item = held[index]
            if hasattr(item, "assign") and hasattr(item, "shape"):
                found[name.lstrip("_")] = item
    return found


def scalars_of(optimizer: Any) -> list[Any]:
    """What an optimizer keeps that is of no variable, in its order: steps, rates, a loss's scale.

    Names do not tell: Keras numbers some through a process, and calls a scalar's slots after it.
    Those of an optimizer that it wraps are not among them. Read in Keras 3.15.1. It can go once
    optimizers give their variables by what they are.
    """
    slots = {id(s) for v in optimizer._trainable_variables for s in slots_of(optimizer, v).values()}
    return [v for v in optimizer._variables if not len(v.shape) and id(v) not in slots]
