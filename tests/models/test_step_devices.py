"""Where a model's steps are computed: with a strategy, without one, on a device not the first."""

import pytest
import tensorflow as tf

from rankup_keras.compat.xla import RefusedByXLAError
from rankup_keras.kernels.program import default_device, is_device
from rankup_keras.models import step_devices
from rankup_keras.models.step_devices import devices_of_step, has_strategy, one_replica
from tests.models.test_compiled_region import make_model, step_of


@pytest.fixture(scope="module")
def model():
    return make_model(True)


@pytest.fixture(scope="module")
def mirrored():
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        return make_model(True)


def test_devices_are_those_of_the_strategy_or_of_weights(model, mirrored):
    (device,) = devices_of_step(model)
    assert is_device(device, default_device())
    assert not has_strategy(model)
    assert has_strategy(mirrored)
    (device,) = devices_of_step(mirrored)
    assert is_device(device, "/cpu:0")


def test_a_step_is_traced_where_weights_lie(model, monkeypatch):
    # As of a model made on a second GPU.
    place = "/job:localhost/replica:0/task:0/device:CPU:3"
    monkeypatch.setattr(step_devices, "devices_of_step", lambda model: [place])
    operations, (compiled,) = step_of(model)
    assert compiled.device == place
    assert {op.device for op in operations if op.type == "ResourceGather"} == {place}


def test_replicas_do_not_meet_in_what_xla_is_asked_for(mirrored, model):
    with one_replica(mirrored):
        context = tf.distribute.get_replica_context()
        assert context.replica_id_in_sync_group == 0
        with pytest.raises(RefusedByXLAError, match="replicas compute something together"):
            context.all_reduce("sum", tf.zeros(()))
    with one_replica(model):
        assert not tf.distribute.has_strategy()
