"""The private parts that several workers need are there, and no public way has come.

That Keras's own functions still fail under several workers is shown by real ones, in
`tests/distribution/test_equality.py`.
"""

import inspect

import keras
import tensorflow as tf
from tensorflow.python.eager import context

from rankup_keras.compat import multi_worker


def test_one_process_is_one_worker():
    assert multi_worker.worker_count(tf.distribute.get_strategy()) == 1
    assert multi_worker.worker_count(tf.distribute.MirroredStrategy(["cpu:0"])) == 1


def test_the_seed_is_known_and_reading_it_draws_nothing():
    tf.random.set_seed(None)
    assert multi_worker.global_seed() is None
    tf.random.set_seed(7)
    first = tf.random.uniform(()).numpy()
    tf.random.set_seed(7)
    assert multi_worker.global_seed() == 7
    assert tf.random.uniform(()).numpy() == first
    # The public way draws.
    tf.random.set_seed(7)
    tf.compat.v1.get_seed(None)
    assert tf.random.uniform(()).numpy() != first
    assert not hasattr(tf.random, "get_seed")


def test_the_runtime_takes_a_heartbeat_and_no_public_function_sets_it():
    setter = context.Context.configure_coordination_service
    wanted = {"service_type", "service_leader", "heartbeat_timeout_in_ms", "coordinated_jobs"}
    assert wanted <= set(inspect.signature(setter).parameters)
    public = [*dir(tf.config), *dir(tf.config.experimental), *dir(tf.distribute)]
    assert not [name for name in public if "coordination" in name or "heartbeat" in name]
    options = inspect.signature(tf.distribute.MultiWorkerMirroredStrategy).parameters
    assert set(options) == {"cluster_resolver", "communication_options"}


def test_functions_are_replaced_and_put_back():
    trainer, module = multi_worker.trainer_class(), multi_worker.trainer_module()
    names = ("_maybe_symbolic_build", "fit", "evaluate", "predict")
    before = [getattr(trainer, name) for name in names] + [module.reduce_per_replica]
    multi_worker.mend_fit(lambda method: lambda *args, **kwargs: ("around", method))
    multi_worker.mend_fit(lambda method: method)
    try:
        assert keras.Sequential().fit() == ("around", before[1])
        after = [getattr(trainer, name) for name in names] + [module.reduce_per_replica]
        assert not set(map(id, before)) & set(map(id, after))
    finally:
        multi_worker.unmend_fit()
    assert before == [getattr(trainer, name) for name in names] + [module.reduce_per_replica]
    assert hasattr(trainer, "_symbolic_build")
