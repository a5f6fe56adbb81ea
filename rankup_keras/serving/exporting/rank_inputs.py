"""Which columns are a user's and which a candidate's, raw and encoded."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from rankup_keras.features import Events, FeatureSet, FieldSpec, Pretrained
from rankup_keras.features.part import Part
from rankup_keras.kernels.program import on_host
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
        candidate_fields: the candidates' fields, where their own encoding has them.

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
        self._candidates = Part(features, [name for name in columns if name not in mine])
        self.candidate_fields: list[FieldSpec] = self._candidates.fields()

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

        Args:
            encode: encodes full rows.
            user: the user's columns of one row; to `encode`, the candidates' are missing.
            candidates: the candidates' columns.

        Returns:
            An encoded row, and the encoded columns of the candidates' features alone.
        """
        of_user = encode({**user, **self._missing(self.candidate)})
        with on_host():
            return of_user, self._candidates.call(candidates)

    def join(
        self,
        of_user: Tensors,
        of_candidates: Tensors,
        count: tf.Tensor,
        name: str,
        columns: Sequence[Sequence[int]] | None = None,
    ) -> tf.Tensor:
        """An encoded tensor of full rows: the user's positions from one encoding, the rest from
        the other.

        Args:
            of_user: encoded columns of the user.
            of_candidates: encoded columns of the candidates.
            count: number of candidates.
            name: the tensor's name.
            columns: pairs, first column and the one behind the last, of what is wanted. Defaults
                to all.
        """
        mine, own = self._of_user[name], of_user[name]
        places = np.cumsum(~mine) - 1
        if columns is not None:
            wanted = np.concatenate([np.arange(start, end) for start, end in columns])
            mine, places = mine[wanted], places[wanted]
            own = tf.gather(own, wanted, axis=1)
        if mine.all():
            return tf.broadcast_to(own, [count, own.shape[1]])
        theirs = tf.gather(of_candidates[name], np.maximum(places, 0), axis=1)
        return tf.where(mine, own, theirs) if mine.any() else theirs

    def _missing(self, names: Sequence[str]) -> Tensors:
        columns = {}
        for name in names:
            spec = self.spec[name]
            shape = [1, *(0 if size is None else size for size in spec.shape[1:])]
            columns[name] = tf.fill(shape, tf.constant(missing_value(spec), spec.dtype))
        return columns


def _user_positions(features: FeatureSet, user: set[str]) -> dict[str, np.ndarray]:
    """For every encoded tensor, which of its positions belong to the user."""
    positions = {
        name: np.zeros(shape, bool) for name, (shape, _) in features.encoded_spec().items()
    }
    for field in features.fields():
        positions["encoded_ids"][field.start : field.start + field.slots] = field.name in user
    if owners := features.numeric_owners():
        positions["encoded_numeric"][:] = [name in user for name in owners]
    vectors = [[f.name in user] * f.dim for f in features.of_type(Pretrained)]
    if vectors:
        positions["encoded_vectors"][:] = np.concatenate(vectors)
    events = [[f.name in user] * f.max_length * len(f.channels) for f in features.of_type(Events)]
    if events:
        positions["encoded_events"][:] = np.concatenate(events)
    return positions
