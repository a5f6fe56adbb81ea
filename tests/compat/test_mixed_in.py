import keras

from rankup_keras.compat.mixed_in import MixedIn


def test_a_mixin_adds_nothing_to_the_bases_of_a_model():
    class Counts(MixedIn):
        calls = 0

        def call(self, inputs):
            self.calls += 1
            return super().call(inputs)

    class Model(Counts, keras.Sequential):
        pass

    assert Counts.__mro__ == (Counts, object)
    model = Model([keras.layers.Identity()])
    model(keras.ops.ones((1, 2)))
    assert model.calls
