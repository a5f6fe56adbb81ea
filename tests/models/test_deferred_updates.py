"""New values of what replicas share are found in a call, and assigned after it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rankup_keras.models.deferred_updates import DeferredUpdates


class Counts(keras.layers.Layer):
    """Moves a shared variable and one of its own, and adds a loss."""

    def build(self, shape):
        own = {"shape": (), "initializer": "zeros", "trainable": False}
        self.shared = self.add_weight(name="shared", aggregation="mean", **own)
        self.still = self.add_weight(name="still", aggregation="mean", **own)
        self.alone = self.add_weight(name="alone", **own)
        self.weight = self.add_weight(name="weight", shape=(), initializer="ones")

    def call(self, x):
        self.shared.assign(self.shared + 2.0)
        self.shared.assign(self.shared + 1.0)
        self.alone.assign(self.alone + 5.0)
        self.add_loss(7.0 * self.weight)
        return x * self.weight + self.shared


def values(layer):
    return [float(v) for v in (layer.shared, layer.still, layer.alone, layer.weight)]


@pytest.mark.parametrize("graph", [False, True])
def test_shared_variables_keep_their_value_until_assigned(graph):
    inputs = keras.Input((2,))
    layer = Counts()
    network = keras.Model(inputs, layer(inputs))
    deferred = DeferredUpdates(network)
    assert deferred

    def call(x):
        return deferred.found(lambda: (network(x, training=True), list(network.losses)))

    before = values(layer)
    (y, losses), moved = (tf.function(call) if graph else call)(tf.ones((1, 2)))
    assert values(layer) == [before[0], before[1], before[2] + 5.0, 1.0]
    # Within the call it has the new value, as the layer meant it.
    np.testing.assert_allclose(y, [[before[0] + 4.0] * 2])
    np.testing.assert_allclose(losses, [7.0])
    deferred.assign(moved)
    assert values(layer) == [before[0] + 3.0, before[1], before[2] + 5.0, 1.0]


def test_nothing_is_deferred_without_a_network_or_such_variables():
    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Dropout(0.5)(keras.layers.Dense(1)(inputs)))
    for deferred in (DeferredUpdates(), DeferredUpdates(network)):
        assert not deferred
        assert deferred.found(lambda: "called") == ("called", [])
        deferred.assign([])
