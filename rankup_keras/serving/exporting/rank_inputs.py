"""Which columns are a user's and which a candidate's, raw and encoded."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from rankup_keras.features import Events, FeatureSet, Pretrained
from rankup_keras.models.user_part import fields_of
from rankup_keras.serving.padding import missing_value

Tensors = dict[str, tf.Tensor]
Arrays = Mapping[str, np.ndarray]


class RankInputs:
    """Splits the columns of a `FeatureSet` between one user and several candidates.

    Args:
        features: the feature set.
        user_columns: names of the columns that a ranking request sends once. Defaults to the
            features with `side="user"`.

    Attributes:
        spec: name to `tf.TensorSpec` of every raw column.
        user: names of the user's columns, in the order of the features.
        candidate: names of the candidates' columns.
        user_fields: names of the user's features and fields.

    Raises:
        ValueError: `user_columns` names a column that is not there, or names all of them.
    """

    def __init__(self, features: FeatureSet, user_columns: Sequence[str] | None = None):
        self.spec = features.raw_spec()
        columns = {f.name: features.columns_of(f) for f in features.features}
        names = [name for own in columns.values() for name in own]
        if user_columns is None:
            user_columns = [
                name for f in features.features if f.side == "user" for name in columns[f.name]
            ]
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
        for events in features.of_type(Events):
            own = [*events.columns, *([events.request_time] if events.request_time else [])]
            if 0 < len(set(own) & set(self.user)) < len(own):
                raise ValueError(
                    f"`user_columns` must have all columns of events {events.name!r} and their "
                    f"request time, or none: {own}. Received: user_columns={list(user_columns)}"
                )
        mine = {name for name, own in columns.items() if set(own) & set(self.user)}
        self.user_fields = fields_of(features, mine)
        self._of_user = _user_positions(features, self.user_fields)

    def user_once(self, rows: Arrays) -> dict[str, np.ndarray]:
        """The first row's user with the candidates of all rows, as `rank` takes them."""
        return {name: rows[name][:1] if name in self.user else rows[name] for name in rows}

    def user_repeated(self, rows: Arrays) -> dict[str, np.ndarray]:
        """The first row's user in every row: the full rows that `rank` scores."""
        return {
            name: value[:1].repeat(len(value), axis=0) if name in self.user else value
            for name, value in rows.items()
        }

    def encode(
        self, encode: Callable[[Tensors], Tensors], user: Tensors, candidates: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Encodes one user's columns once and the candidates' columns, each row by itself.

        The other side's columns are empty in each of the two calls, so strings are hashed and
        looked up, and histories cut, once for the user and not once per candidate.
        """
        count = tf.shape(candidates[self.candidate[0]])[0]
        of_user = encode({**user, **self._empty(self.candidate, 1)})
        of_candidates = encode({**candidates, **self._empty(self.user, count)})
        return of_user, of_candidates

    def join(self, of_user: Tensors, of_candidates: Tensors, name: str | None = None) -> Any:
        """Encoded rows: the user's positions from one encoding, the rest from the other.

        Args:
            of_user: encoded columns of the user.
            of_candidates: encoded columns of the candidates.
            name: the tensor to join. Defaults to a dict of all.
        """
        if name is None:
            return {key: self.join(of_user, of_candidates, key) for key in of_candidates}
        return tf.where(self._of_user[name], of_user[name], of_candidates[name])

    def _empty(self, names: Sequence[str], count: tf.Tensor | int) -> Tensors:
        columns = {}
        for name in names:
            spec = self.spec[name]
            shape = [count, *(0 if size is None else size for size in spec.shape[1:])]
            columns[name] = tf.fill(shape, tf.constant(missing_value(spec), spec.dtype))
        return columns


def _user_positions(features: FeatureSet, user: set[str]) -> dict[str, np.ndarray]:
    """For every encoded tensor, which of its positions belong to the user."""
    positions = {
        name: np.zeros(shape, bool) for name, (shape, _) in features.encoded_spec().items()
    }
    for field in features.fields():
        positions["encoded_ids"][field.start : field.start + field.slots] = field.name in user
        if field.weight_start is not None:
            end = field.weight_start + field.length
            positions["encoded_weights"][field.weight_start : end] = field.name in user
    if owners := features.numeric_owners():
        positions["encoded_numeric"][:] = [name in user for name in owners]
    vectors = [[f.name in user] * f.dim for f in features.of_type(Pretrained)]
    if vectors:
        positions["encoded_vectors"][:] = np.concatenate(vectors)
    events = [[f.name in user] * f.max_length * len(f.channels) for f in features.of_type(Events)]
    if events:
        positions["encoded_events"][:] = np.concatenate(events)
    return positions
