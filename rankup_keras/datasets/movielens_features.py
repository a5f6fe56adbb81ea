"""What a row of MovieLens is, for the models of this package."""

from rankup_keras.features import Categorical, FeatureSet, Numeric, Sequence


def movielens_features() -> FeatureSet:
    """Features of the columns that `movielens_100k` gives; call `adapt` before use.

    Left out are the post code, which nearly names the user, and the counts and
    means of earlier ratings, whose distribution moves with time: both lowered
    the AUC on later validation rows.
    """
    return FeatureSet(
        [
            Categorical("user_id", side="user"),
            Numeric("age", side="user"),
            Categorical("gender", side="user"),
            Categorical("occupation", side="user"),
            # Newest first, so the beginning is what to keep of an over-long history.
            Sequence("history", of="item_id", max_length=20, keep="first", side="user"),
            Categorical("item_id", side="candidate"),
            Categorical("release_year", side="candidate"),
            Categorical("genres", max_length=6, side="candidate"),
        ]
    )
