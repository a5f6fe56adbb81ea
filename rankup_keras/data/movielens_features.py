"""What a row of MovieLens is, for the models of this package."""

from rankup_keras.features import Categorical, FeatureSet, Numeric, Sequence


def movielens_features() -> FeatureSet:
    """Features of the columns that `movielens_100k` gives; call `adapt` before use."""
    return FeatureSet(
        [
            Categorical("user_id", side="user"),
            Numeric("age", side="user"),
            Categorical("gender", side="user"),
            Categorical("occupation", side="user"),
            Categorical("zip3", min_count=20, side="user"),
            Numeric("user_count", normalize="log", side="user"),
            Numeric("user_mean", side="user"),
            # Newest first, so the beginning is what to keep of an over-long history.
            Sequence("history", of="item_id", max_length=20, keep="first", side="user"),
            Categorical("item_id", side="candidate"),
            Categorical("release_year", side="candidate"),
            Categorical("genres", max_length=6, side="candidate"),
            Numeric("item_count", normalize="log", side="candidate"),
            Numeric("item_mean", side="candidate"),
        ]
    )
