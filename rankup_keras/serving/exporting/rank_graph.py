"""One user's half of the model once, every candidate's half for each, joined inside the graph."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.layers.tokens import SequencePooling, SequenceTokens
from rankup_keras.serving.exporting.sides import Sides

Tensors = dict[str, tf.Tensor]


class RankGraph:
    """Scores one encoded user against many encoded candidates.

    The model is cut behind its embeddings (and behind the pooling of its sequences, where all of
    them are the user's): the user's rows are looked up and pooled once and repeated there, and
    candidates look up their own fields alone. What follows mixes both sides and runs for every
    candidate. A model without exactly one `FieldEmbedding` is not cut: its user is preprocessed
    once, and repeated before the model.

    Args:
        model: a Functional model over encoded columns.
        sides: which columns are the user's.
    """

    def __init__(self, model: keras.Model, sides: Sides):
        self.model, self.sides = model, sides
        layers = [layer for layer in model.layers if isinstance(layer, FieldEmbedding)]
        self.embedding = layers[0] if len(layers) == 1 else None
        if self.embedding is None:
            return
        user = set(sides.user)
        sequences = [f for f in self.embedding.fields if f.kind == "sequence"]
        self._pooled: dict[str, Any] = {}
        if sequences and all(field.name in user for field in sequences):
            self._pooled = {
                layer.name: layer.output
                for layer in model.layers
                if isinstance(layer, SequencePooling | SequenceTokens)
            }
        embedded = _named_outputs(self.embedding)
        cut = {**embedded, **self._pooled, **_by_name(model.input)}
        self._keys = _needed(cut, model.output)
        self._tail = keras.Model([cut[key] for key in self._keys], model.output)
        self._head = keras.Model(model.input, {**embedded, **self._pooled})
        own = [f.name for f in self.embedding.fields if f.name not in user]
        self._own = self.embedding.restricted(own, "candidate_embeddings") if own else None

    def __call__(self, user: Tensors, candidates: Tensors) -> Any:
        """The model's outputs for every candidate.

        Args:
            user: encoded columns of one row, the candidates' columns empty.
            candidates: encoded columns of all candidates, the user's columns empty.
        """
        if self.embedding is None:
            return self.model(self.sides.join(user, candidates), training=False)
        count = tf.shape(next(iter(candidates.values())))[0]
        mine = self._head(user, training=False)
        theirs: Mapping[str, Any] = {}
        if self._own is not None:
            weights = candidates.get("encoded_weights")
            theirs = self._own(candidates["encoded_ids"], *([] if weights is None else [weights]))
        cut = self.sides.join(user, candidates)
        names = {field.name for field in self.embedding.fields}
        for key in self._keys:
            if key in cut:
                continue
            field = key.partition("/")[2]
            if key in self.embedding.table_sets:
                cut[key] = self._join_set(key, mine[key], theirs.get(key), count)
            elif field in names and field not in self.sides.user:
                cut[key] = theirs[key]
            else:
                cut[key] = _repeat(mine[key], count)
        return self._tail([cut[key] for key in self._keys], training=False)

    def _join_set(self, table_set: str, mine: Any, theirs: Any, count: Any) -> tf.Tensor:
        """The fields of one table set in their order, from whichever side owns them."""
        assert self.embedding is not None
        names, dims = self.embedding.field_names(table_set), self.embedding.field_dims(table_set)
        parts, at_mine, at_theirs = [], 0, 0
        owned = [(name in self.sides.user, dim) for name, dim in zip(names, dims, strict=True)]
        for is_user, run in groupby(owned, key=lambda pair: pair[0]):
            width = sum(dim for _, dim in run)
            if is_user:
                parts.append(_repeat(mine[:, at_mine : at_mine + width], count))
            else:
                parts.append(theirs[:, at_theirs : at_theirs + width])
                at_theirs += width
            at_mine += width
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


def _needed(inputs: dict[str, Any], outputs: Any) -> list[str]:
    """Those of the tensors that the outputs are computed from, without looking behind them."""
    names = {id(tensor): name for name, tensor in inputs.items()}
    found, seen, stack = set(), set(), list(keras.tree.flatten(outputs))
    while stack:
        tensor = stack.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if id(tensor) in names:
            found.add(names[id(tensor)])
            continue
        operation, node, _ = tensor._keras_history
        stack.extend(operation._inbound_nodes[node].input_tensors)
    return [name for name in inputs if name in found]
