"""`keras.models.clone_model` of models that are more than their graph."""

from typing import Any

from rankup_keras.compat.mixed_in import MixedIn


class RefusesGraphClone(MixedIn):
    """Mixed into a Functional model's class, refuses `keras.models.clone_model`.

    `clone_model` means to rebuild a model with a `get_config` of its own from its
    config, but asks for the clone function after it has set one, so that it clones
    the graph and gives a plain `Functional` without preprocessing. Nothing public
    tells a model that it is being cloned; the graph is run with the two arguments
    `operation_fn` and `call_fn` for clones alone. Read in Keras 3.15.1. It can go
    once `clone_model` honours `get_config`.
    """

    def _run_through_graph(self, *args: Any, **kwargs: Any) -> Any:
        if {"operation_fn", "call_fn"} <= set(kwargs):
            raise ValueError(
                "`keras.models.clone_model` would lose the preprocessing of raw rows. For a copy "
                "with new weights use `type(model).from_config(model.get_config())`; "
                "`copy.deepcopy(model)` keeps the weights."
            )
        return super()._run_through_graph(*args, **kwargs)
