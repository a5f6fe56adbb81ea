import keras
import numpy as np

import rankup_keras as rk
from tests.models import small_rows


def make(**settings):
    return rk.RankMixer(
        small_rows.features(), ["click"], token_dim=12, num_blocks=1, embedding_dim=4, **settings
    )


def test_the_model_slices_its_fields_group_by_group():
    model = make(num_tokens=4)
    # 4 embedded fields, and the pooled history behind them.
    embedded = next(x for x in model.get_layer("embeddings").output if x.shape[1:] == (16,))
    part = keras.Model(model.inputs, [model.get_layer("tokenizer").input, embedded])
    raw = small_rows.raw_rows()
    rows, embedded = (np.asarray(x) for x in part(model.encode(raw)))
    user, item, city = embedded[:, :4], embedded[:, 4:8], embedded[:, 8:12]
    np.testing.assert_array_equal(rows[:, :12], np.concatenate([user, city, item], axis=1))
    # Then price and its indicator, of the item's group; then genres; vectors stay last.
    np.testing.assert_array_equal(rows[:, 20:24], embedded[:, 12:16])
    np.testing.assert_array_equal(rows[:, -6:-3], raw["user_vector"])


def test_mix_and_revert_frees_the_number_of_tokens():
    model = make(num_tokens=5, mixing={"kind": "mix_and_revert", "num_heads": 3})
    assert model.get_layer("block_1_mixer").output.shape == (None, 5, 12)
    assert rk.RankMixer.from_config(model.get_config()).count_params() == model.count_params()
