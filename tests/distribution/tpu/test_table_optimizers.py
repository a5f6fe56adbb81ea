"""Which optimizers a TPU takes for its tables; `test_tpu_tables.py` trains with them."""

import keras
import pytest
from keras_rs.src.layers.embedding.tensorflow import config_conversion

from rankup_keras import optimizers
from tests.distribution.tpu.fields import make


def test_each_table_can_have_an_optimizer_of_its_own():
    own = {"user": "sgd", "item": optimizers.Adagrad(0.5), "genre": "ftrl"}
    _, on_tpu = make(optimizer=own)
    features, _ = config_conversion.keras_to_tf_tpu_configuration(
        on_tpu.feature_configs(), "auto", 1
    )
    kinds = {f.table.name: type(f.table.optimizer).__name__ for f in features.values()}
    assert kinds["token__user"] == "SGD"
    assert kinds["token__item"] == kinds["global__item"] == "Adagrad"
    assert kinds["token__genre"] == "FTRL"


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (optimizers.RowWiseAdagrad(), "'user' cannot be trained by RowWiseAdagrad"),
        (keras.optimizers.RMSprop(), "'user' cannot be trained by RMSprop"),
        ("rmsprop", "'user' cannot be trained by 'rmsprop'"),
        ({"item": "sgd"}, "no entry for table 'user'"),
    ],
)
def test_optimizers_that_the_tpu_lacks_are_refused(optimizer, message):
    with pytest.raises(ValueError, match=message):
        make(optimizer=optimizer)
