"""One user's part of the model once, the candidates' part for each, joined inside the graph."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat.functional_graph import call_of
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.layers.tokens import SequencePooling, SequenceTokens
from rankup_keras.serving.exporting.rank_inputs import RankInputs, Tensors


class RankGraph:
    """Scores one encoded user against many encoded candidates.

    The model is cut behind its embeddings (and behind the pooling of its sequences, where all of
    them are the user's): the user's rows are looked up and pooled once and repeated there, and
    candidates look up their own fields alone. What follows mixes both and runs for every
    candidate. A model without exactly one `FieldEmbedding` is not cut: its user is preprocessed
    once, and repeated before the model.

    Args:
        model: a Functional model over encoded columns.
        inputs: which columns are the user's.

    Attributes:
        embedding: the layer behind which the model is cut, or `None`.
        candidate_embedding: looks up the candidates' own fields, or `None` if there are none.
        cut: keys of the tensors that the part behind the cut takes.
    """

    def __init__(self, model: keras.Model, inputs: RankInputs):
        self.model, self.inputs = model, inputs
        layers = [layer for layer in model.layers if isinstance(layer, FieldEmbedding)]
        self.embedding = layers[0] if len(layers) == 1 else None
        if self.embedding is None:
            return
        fields = [field.name for field in self.embedding.fields]
        sequences = [field.name for field in self.embedding.fields if field.kind == "sequence"]
        before_cut = _named_outputs(self.embedding)
        if sequences and set(sequences) <= set(inputs.user):
            for layer in model.layers:
                if isinstance(layer, SequencePooling | SequenceTokens):
                    before_cut[layer.name] = layer.output
        tensors = {**before_cut, **_by_name(model.input)}
        self.cut = _needed(tensors, model.output)
        self._tail = keras.Model([tensors[key] for key in self.cut], model.output)
        self._head = keras.Model(model.input, before_cut)
        own = [name for name in fields if name not in inputs.user]
        self.candidate_embedding = (
            self.embedding.restricted(own, "candidate_embeddings") if own else None
        )

    def __call__(self, user: Tensors, candidates: Tensors) -> Any:
        """The model's outputs for every candidate.

        Args:
            user: encoded columns of one row, the candidates' columns empty.
            candidates: encoded columns of all candidates, the user's columns empty.
        """
        joined = self.inputs.join(user, candidates)
        if self.embedding is None:
            return self.model(joined, training=False)
        count = tf.shape(next(iter(candidates.values())))[0]
        of_user = self._head(user, training=False)
        of_candidates: Mapping[str, Any] = {}
        if self.candidate_embedding is not None:
            weights = candidates.get("encoded_weights")
            encoded = [candidates["encoded_ids"], *([] if weights is None else [weights])]
            of_candidates = self.candidate_embedding(*encoded)
        fields = {field.name for field in self.embedding.fields}
        for key in self.cut:
            field = key.partition("/")[2]
            if key in joined:
                continue
            if key in self.embedding.table_sets:
                joined[key] = self._join_table_set(key, of_user[key], of_candidates.get(key), count)
            elif field in fields and field not in self.inputs.user:
                joined[key] = of_candidates[key]
            else:
                joined[key] = _repeat(of_user[key], count)
        return self._tail([joined[key] for key in self.cut], training=False)

    def _join_table_set(
        self, table_set: str, of_user: Any, of_candidates: Any, count: Any
    ) -> tf.Tensor:
        """The fields of one table set in their order, from whichever side owns them."""
        assert self.embedding is not None
        names, dims = self.embedding.field_names(table_set), self.embedding.field_dims(table_set)
        owned = [(name in self.inputs.user, dim) for name, dim in zip(names, dims, strict=True)]
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


def _needed(tensors: dict[str, Any], outputs: Any) -> list[str]:
    """Those of the tensors that the outputs are computed from, without looking behind them."""
    names = {id(tensor): name for name, tensor in tensors.items()}
    found, seen, waiting = set(), set(), list(keras.tree.flatten(outputs))
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        if id(tensor) in names:
            found.add(names[id(tensor)])
        else:
            waiting.extend(call_of(tensor).inputs)
    return [name for name in tensors if name in found]
