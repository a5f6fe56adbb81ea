"""One user's part of the model once, the candidates' part for each, joined inside the graph."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat.functional_graph import call_of
from rankup_keras.layers.embeddings import FieldEmbedding, TakeColumns
from rankup_keras.models.user_part import UserPart, source_holds
from rankup_keras.serving.exporting.rank_inputs import RankInputs, Tensors


class RankGraph:
    """Scores one encoded user against many encoded candidates.

    What depends on the user's columns alone, by the model's graph, is computed once: lookups and
    pooling of histories, encoders of events, and the user's tokens of every block in models whose
    mixing is masked. There the model is cut. Behind the cut each tensor is repeated for every
    candidate, but for those that only layers with `one_user_inputs` read, which take one row.
    A model without exactly one `FieldEmbedding` is not cut: its user is preprocessed once, and
    repeated before the model.

    Args:
        model: a Functional model over encoded columns.
        inputs: which columns are the user's.

    Attributes:
        embedding: the layer behind which the model is cut, or `None`.
        candidate_embedding: looks up the candidates' own fields, or `None` if there are none.
        cut: keys of the tensors that the part behind the cut takes; those of the user by the
            names of the layers that made them.
        once: those among them that are not repeated.
    """

    def __init__(self, model: keras.Model, inputs: RankInputs):
        self.model, self.inputs = model, inputs
        layers = [layer for layer in model.layers if isinstance(layer, FieldEmbedding)]
        self.embedding = layers[0] if len(layers) == 1 else None
        if self.embedding is None:
            return
        embedded = _named_outputs(self.embedding)
        inputs_of_model = _by_name(model.input)
        sources = {**embedded, **inputs_of_model}
        holds = source_holds(model.features, sources, self.embedding)
        part = UserPart(inputs.user_fields, sources, holds)
        found = _Cut(keras.tree.flatten(model.output), sources, inputs_of_model, part)
        self.cut, self.once, self._taken = list(found.tensors), found.once, found.taken
        self._tail = keras.Model(list(found.tensors.values()), model.output)
        elsewhere = {*sources, *found.taken}
        made = {key: x for key, x in found.tensors.items() if key not in elsewhere}
        self._head = keras.Model(model.input, {**embedded, **made})
        starts = {field.name: field.start for field in inputs.candidate_fields}
        own = [
            dataclasses.replace(field, start=starts[field.name])
            for field in self.embedding.fields
            if field.name in starts
        ]
        self.candidate_embedding = (
            self.embedding.restricted(own, "candidate_embeddings") if own else None
        )

    def __call__(self, user: Tensors, candidates: Tensors, count: tf.Tensor) -> Any:
        """The model's outputs for every candidate.

        Args:
            user: encoded columns of one row, the candidates' columns missing.
            candidates: encoded columns of the candidates' features alone.
            count: number of candidates.
        """
        if self.embedding is None:
            rows = {key: self.inputs.join(user, candidates, count, key) for key in user}
            return self.model(rows, training=False)
        user = {key: tf.ensure_shape(x, [1, *x.shape[1:]]) for key, x in user.items()}
        of_user = self._head(user, training=False)
        of_candidates: Mapping[str, Any] = {}
        if self.candidate_embedding is not None:
            of_candidates = self.candidate_embedding(candidates["encoded_ids"])
        fields = {field.name for field in self.embedding.fields}
        joined = []
        for key in self.cut:
            field = key.partition("/")[2]
            if key in self._taken:
                x = self.inputs.join(user, candidates, count, *self._taken[key])
            elif key in user:
                once = key in self.once
                x = user[key] if once else self.inputs.join(user, candidates, count, key)
            elif key in self.once:
                x = tf.ensure_shape(of_user[key], [1, *of_user[key].shape[1:]])
            elif key in self.embedding.table_sets:
                x = self._join_table_set(key, of_user[key], of_candidates.get(key), count)
            elif field in fields and field not in self.inputs.user_fields:
                x = of_candidates[key]
            else:
                x = _repeat(of_user[key], count)
            joined.append(x)
        return self._tail(joined, training=False)

    def _join_table_set(
        self, table_set: str, of_user: Any, of_candidates: Any, count: Any
    ) -> tf.Tensor:
        """The fields of one table set in their order, from whichever side owns them."""
        assert self.embedding is not None
        names, dims = self.embedding.field_names(table_set), self.embedding.field_dims(table_set)
        mine = self.inputs.user_fields
        owned = [(name in mine, dim) for name, dim in zip(names, dims, strict=True)]
        # The user's side has every field, the candidates' only their own.
        parts, start, own_start = [], 0, 0
        for is_user, run in groupby(owned, key=lambda pair: pair[0]):
            width = sum(dim for _, dim in run)
            if is_user:
                parts.append(_repeat(of_user[:, start : start + width], count))
            else:
                parts.append(of_candidates[:, own_start : own_start + width])
                own_start += width
            start += width
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)


def _repeat(row: Any, count: Any) -> tf.Tensor:
    return tf.broadcast_to(row, tf.concat([[count], tf.shape(row)[1:]], axis=0))


def _named_outputs(embedding: FieldEmbedding) -> dict[str, Any]:
    """The symbolic outputs by key; Keras keeps them flat, in the order of its own flattening."""
    spec = embedding.compute_output_spec(keras.KerasTensor((None, embedding.slots), dtype="int32"))
    keys = keras.tree.flatten({key: key for key in spec})
    outputs = embedding.output
    return dict(zip(keys, outputs if isinstance(outputs, list) else [outputs], strict=True))


def _by_name(inputs: Any) -> dict[str, Any]:
    return dict(inputs) if isinstance(inputs, Mapping) else {x.name: x for x in inputs}


class _Cut:
    """Where a graph is cut: at its sources, and at what has nothing of the candidate.

    Args:
        outputs: tensors that are computed from what is found.
        sources: tensors behind which nothing is looked for, by key.
        inputs: the sources that are the model's inputs, of which single columns are taken.
        part: tells what is the user's.

    Attributes:
        tensors: the tensors of the cut by key.
        once: keys of those that are the user's, and whose readers all take one row for many.
        taken: key of a tensor that is some columns of a source, to the source and the columns.
    """

    def __init__(
        self,
        outputs: Sequence[Any],
        sources: Mapping[str, Any],
        inputs: Collection[str],
        part: UserPart,
    ) -> None:
        self._keys = {id(tensor): key for key, tensor in sources.items()}
        self.tensors: dict[str, Any] = {}
        self.taken: dict[str, tuple[str, Any]] = {}
        shared: dict[str, bool] = {}
        waiting: list[tuple[Any, bool]] = [(tensor, False) for tensor in outputs]
        seen = set()
        while waiting:
            tensor, takes_one = waiting.pop()
            if id(tensor) in self._keys or part.only(tensor):
                key = self._key(tensor)
                self.tensors[key] = tensor
                shared[key] = takes_one and part.only(tensor) and shared.get(key, True)
            elif id(tensor) not in seen:
                seen.add(id(tensor))
                call = call_of(tensor)
                source = self._keys.get(id(call.inputs[0]), "") if call.inputs else ""
                if type(call.operation) is TakeColumns and source in inputs:
                    key = self._key(tensor)
                    self.tensors[key] = tensor
                    self.taken[key] = source, call.operation.columns
                    continue
                # The queries, which come first, have as many rows as the output.
                one = getattr(call.operation, "one_user_inputs", False)
                waiting += [(x, one and place > 0) for place, x in enumerate(call.inputs)]
        self.once = {key for key, one in shared.items() if one}

    def _key(self, tensor: Any) -> str:
        name = f"{call_of(tensor).operation.name}:{len(self._keys)}"
        return self._keys.setdefault(id(tensor), name)
