import pytest

import rankup_keras as rk
from tests.models import small_rows, tiny


def tables(model):
    """Parameters in the tables of each set."""
    found = {}
    for name, table in model.get_layer("embeddings").get_tables().items():
        table_set = name.partition("/")[0]
        found[table_set] = found.get(table_set, 0) + table.size
    return found


def test_a_family_has_tables_of_its_own():
    assert set(tables(small_rows.rankup())) == {"sparse", "global"}
    assert set(tables(small_rows.rankup(multi_embedding=False))) == {"sparse"}
    assert set(tables(small_rows.rankup(**small_rows.RANKUPS["many_sets"]))) == {"a", "b", "c"}
    assert set(tables(small_rows.rankup(**small_rows.RANKUPS["interactions"]))) == {
        "sparse",
        "second",
        "third",
    }


def test_a_set_holds_the_fields_asked_for_and_no_other():
    rows = {t.name: t.rows for t in small_rows.features().tables()}
    held = tables(small_rows.rankup(**small_rows.RANKUPS["many_sets"]))
    assert held["b"] == 4 * (rows["user"] + rows["city"])
    # The interactions' own set has no table for genres, which no interaction names.
    third = tables(small_rows.rankup(**small_rows.RANKUPS["interactions"]))["third"]
    assert third == 4 * (rows["user"] + rows["item"] + rows["city"])


@pytest.mark.parametrize(
    "more", [{}, {"interactions": [["user", "city"]]}], ids=["plain", "interactions"]
)
def test_the_control_has_as_many_parameters_in_one_set(more):
    def size(multi_embedding):
        features = small_rows.features(item_dim=6)
        model = rk.RankUp(
            features,
            ["click"],
            **{**small_rows.SMALL, "token_dim": None, "multi_embedding": multi_embedding, **more},
        )
        return model.get_layer("embeddings").count_params()

    assert size("joined") == size(True) > size(False)


def test_multi_embedding_doubles_the_tables():
    with_sets = tiny.make_rankup().get_layer("embeddings")
    shared = tiny.make_rankup(multi_embedding=False).get_layer("embeddings")
    assert list(with_sets.table_sets) == ["sparse", "global"]
    assert list(shared.table_sets) == ["sparse"]
    rows = sum(table.rows for table in tiny.make_features().tables())
    assert shared.count_params() == 4 * rows
    assert with_sets.count_params() == 2 * 4 * rows
