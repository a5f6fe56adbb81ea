import pytest

import rankup_keras as rk
from tests.models import small_rows, tiny


def test_several_sets_of_sparse_fields_stand_in_one_permutation():
    model = small_rows.rankup(**small_rows.RANKUPS["many_sets"])
    # item, genres and city of the one, user and city of the other.
    assert sorted(model.get_config()["permutation"]) == list(range(5))
    names = {layer.name for layer in model.layers}
    wanted = {
        f"{name}_{i}" for name in ("global_token", "attended_sequence_tokens") for i in (1, 2)
    }
    assert wanted <= names


def test_semantic_tokens_are_the_groups_and_then_the_rest():
    model = small_rows.rankup(**small_rows.RANKUPS["semantic"])
    assert model.get_layer("tokenizer").groups == [[0, 2], [1], [3]]
    assert model.get_config()["num_sparse_tokens"] == 3


def test_semantic_tokens_need_a_group():
    features = rk.FeatureSet([rk.Categorical("user"), rk.Categorical("city")])
    features.adapt({k: v for k, v in small_rows.raw_rows().items() if k in ("user", "city")})
    with pytest.raises(ValueError, match=r"needs features with a `group`.*'user', 'city'"):
        rk.RankUp(features, ["click"], tokenizer="semantic")


def test_the_permutation_is_kept():
    model = tiny.make_rankup(permutation=[2, 0, 1])
    assert model.get_layer("tokenizer").permutation == [2, 0, 1]
    again = model.from_config(tiny.make_rankup(permutation_seed=5).get_config())
    assert again.get_layer("tokenizer").permutation == again.get_config()["permutation"]
