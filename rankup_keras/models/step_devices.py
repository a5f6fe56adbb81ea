"""The devices that compute a model's step, and a step as one replica sees it."""

import contextlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from rankup_keras.compat.mixed_in import MixedIn
from rankup_keras.compat.xla import RefusedByXLAError
from rankup_keras.kernels.program import default_device, is_device


def has_strategy(model: Any) -> bool:
    """Whether a model was built in the scope of a strategy."""
    if tf.distribute.has_strategy():
        return True  # a replica cannot enter the scope again
    with model.distribute_strategy.scope():
        return bool(tf.distribute.has_strategy())


def devices_of_step(model: Any) -> list[str]:
    """Full names of the devices of a model's step, one for each of this process's replicas.

    Without a strategy it is where the weights behind the tables lie, which `tf.device` may have
    decided: TensorFlow runs what they go into there, and XLA reads no other device's variables.
    """
    if has_strategy(model):
        return list(model.distribute_strategy.extended.worker_devices)
    # Tables may lie on the host, as integers do.
    weights = [v for v in model.variables if not getattr(v, "row_sparse", False)]
    places = [v.value.device for v in weights if tf.as_dtype(v.dtype).is_floating]
    return places[:1] or [default_device()]


def on_device_of(model: Any) -> contextlib.AbstractContextManager[Any]:
    """Where a model's steps are traced that was made on another device than TensorFlow's first.

    What has no variable of the model goes there too, and XLA's functions, of which TensorFlow does
    not look at the variables. A strategy tells its replicas' devices by itself.
    """
    device = devices_of_step(model)[0]
    elsewhere = not has_strategy(model) and not is_device(device, default_device())
    return tf.device(device) if elsewhere else contextlib.nullcontext()


class StepsWhereWeightsLie(MixedIn):
    """Mixed into a Functional model, makes and traces its steps on the device of its weights."""

    def make_train_function(self, force: bool = False) -> Any:
        with on_device_of(self):
            return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        with on_device_of(self):
            return super().make_test_function(force)

    def train_step(self, data: Any) -> Any:
        with on_device_of(self):
            return super().train_step(data)

    def test_step(self, data: Any) -> Any:
        with on_device_of(self):
            return super().test_step(data)

    def predict_step(self, data: Any) -> Any:
        with on_device_of(self):
            return super().predict_step(data)


class OneReplica(tf.distribute.ReplicaContext):
    """The first replica of a strategy by itself, where a function is traced to be looked at.

    Replicas cannot wait for one another within a function that XLA compiles.
    """

    def merge_call(self, merge_fn: Callable[..., Any], args: Any = (), kwargs: Any = None) -> Any:
        where = tf.get_current_name_scope()
        raise RefusedByXLAError(f"replicas compute something together, {{{{node {where}/}}}}")

    def all_reduce(self, reduce_op: Any, value: Any, options: Any = None) -> Any:
        return self.merge_call(lambda *_: value)


@contextlib.contextmanager
def one_replica(model: Any) -> Any:
    """Within it layers and variables are those of a model's first replica, if it has a strategy."""
    if not has_strategy(model):
        yield
        return
    with model.distribute_strategy.scope(), OneReplica(model.distribute_strategy, 0):
        yield
