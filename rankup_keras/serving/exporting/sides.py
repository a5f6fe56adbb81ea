"""Which columns are a user's and which a candidate's, raw and encoded."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from rankup_keras.features import FeatureSet, Numeric, Pretrained


class Sides:
    """Splits the columns of a `FeatureSet` between one user and several candidates.

    Args:
        features: the feature set.
        user_columns: names of the columns that a ranking request sends once. Defaults to the
            features with `side="user"`.

    Raises:
        ValueError: `user_columns` names a column that is not there, or names all of them.
    """

    def __init__(self, features: FeatureSet, user_columns: Sequence[str] | None = None):
        self.spec = features.raw_spec()
        names = [feature.name for feature in features.features]
        if user_columns is None:
            user_columns = [f.name for f in features.features if f.side == "user"]
        unknown = sorted(set(user_columns) - set(names))
        if unknown:
            raise ValueError(
                f"`user_columns` must be among the columns {names}. Received: {unknown}"
            )
        self.user = [name for name in names if name in set(user_columns)]
        self.candidate = [name for name in names if name not in set(user_columns)]
        if not self.candidate:
            raise ValueError(
                "`user_columns` must leave at least one column to the candidates. "
                f"Received: user_columns={list(user_columns)}"
            )
        self._of_user = _owners(features, set(self.user))

    def encode(
        self,
        encode: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
        user: Mapping[str, tf.Tensor],
        candidates: Mapping[str, tf.Tensor],
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Encodes one user's columns once and the candidates' columns, each row by itself.

        The other side's columns are empty in each of the two calls, so strings are hashed and
        looked up, and histories cut, once for the user and not once for every candidate.
        """
        count = tf.shape(candidates[self.candidate[0]])[0]
        mine = encode({**user, **self._empty(self.candidate, 1)})
        theirs = encode({**candidates, **self._empty(self.user, count)})
        return mine, theirs

    def join(
        self, mine: Mapping[str, tf.Tensor], theirs: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Encoded rows with the user's columns of `mine` beside the others of `theirs`."""
        return {name: tf.where(self._of_user[name], mine[name], theirs[name]) for name in theirs}

    def _empty(self, names: Sequence[str], count: tf.Tensor | int) -> dict[str, tf.Tensor]:
        columns = {}
        for name in names:
            spec = self.spec[name]
            shape = [count, *(0 if d is None else d for d in spec.shape[1:])]
            blank = {tf.string: "", tf.int64: -1}.get(spec.dtype, 0.0)
            columns[name] = tf.fill(shape, tf.constant(blank, spec.dtype))
        return columns


def _owners(features: FeatureSet, user: set[str]) -> dict[str, np.ndarray]:
    """For every encoded tensor, which of its columns belong to the user."""
    owners: dict[str, np.ndarray] = {}
    for name, (shape, _) in features.encoded_spec().items():
        owners[name] = np.zeros(shape, bool)
    for field in features.fields():
        owners["encoded_ids"][field.start : field.start + field.slots] = field.name in user
        if field.weight_start is not None:
            end = field.weight_start + field.length
            owners["encoded_weights"][field.weight_start : end] = field.name in user
    if features.of_type(Numeric):
        names = [name.removesuffix(":missing") for name in features.numeric_names()]
        owners["encoded_numeric"][:] = [name in user for name in names]
    vectors = [[f.name in user] * f.dim for f in features.of_type(Pretrained)]
    if vectors:
        owners["encoded_vectors"][:] = np.concatenate(vectors)
    return owners
