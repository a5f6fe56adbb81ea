"""`keras.models.clone_model` loses what is not in the graph, which is why it is refused."""

import keras
import pytest

from rankup_keras.compat.cloning import RefusesGraphClone


class Own(keras.Model):
    def __init__(self, units):
        x = keras.Input((2,))
        super().__init__(x, keras.layers.Dense(units)(x))
        self.units = units

    def get_config(self):
        return {"units": self.units}


class Refusing(RefusesGraphClone, Own):
    pass


def test_keras_ignores_a_config_of_the_models_own():
    # Once this fails, Keras rebuilds the model from its config, and the refusal can go.
    assert type(keras.models.clone_model(Own(3))) is not Own


def test_clones_are_refused_and_nothing_else_is():
    model = Refusing(3)
    with pytest.raises(ValueError, match=r"type\(model\).from_config\(model.get_config\(\)\)"):
        keras.models.clone_model(model)
    assert type(model.from_config(model.get_config())) is Refusing
    assert model(keras.ops.ones((4, 2))).shape == (4, 3)
    assert keras.Model(model.inputs, model.outputs).count_params() == model.count_params()
