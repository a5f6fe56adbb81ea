"""What of a model's graph has nothing of the candidate."""

from collections.abc import Mapping
from typing import Any

from rankup_keras.compat.functional_graph import call_of
from rankup_keras.features import Events, FeatureSet
from rankup_keras.layers.embeddings import TakeColumns


def fields_of(features: FeatureSet, names: set[str]) -> set[str]:
    """Names of features, and of the fields of those that are events."""
    events = {e.name: e.fields for e in features.of_type(Events)}
    return {field for name in names for field in (name, *events.get(name, ()))}


class UserPart:
    """Tells tensors that depend on the user's features alone.

    Args:
        mine: names of the user's features and fields, see `fields_of`.
        sources: tensors behind which nothing is looked for: inputs and outputs of lookups, by
            input, table set, or `set/field`.
        holds: key of a source → the fields or features that it holds.
    """

    def __init__(
        self, mine: set[str], sources: Mapping[str, Any], holds: Mapping[str, list[str]]
    ) -> None:
        self._mine = mine
        self._known = {id(x): mine.issuperset(holds[key]) for key, x in sources.items()}
        self._alive = list(sources.values())  # or their ids could be given to others

    def only(self, tensor: Any) -> bool:
        """Whether a symbolic tensor has nothing of the candidate."""
        if id(tensor) not in self._known:
            call = call_of(tensor)
            if isinstance(call.operation, TakeColumns):
                found = self._mine.issuperset(call.operation.of)
            else:
                found = bool(call.inputs) and all(map(self.only, call.inputs))
            self._known[id(tensor)] = found
            self._alive.append(tensor)
        return self._known[id(tensor)]


def source_holds(features: FeatureSet, keys: Any, embedding: Any) -> dict[str, list[str]]:
    """What each input of a model, and each output of its lookup, holds."""
    fields = [field.name for field in features.fields()]
    inputs = {
        "encoded_ids": fields,
        "encoded_numeric": features.numeric_owners(),
        "encoded_vectors": [f.name for f in features.features if hasattr(f, "dim")],
        "encoded_events": [f.name for f in features.of_type(Events)],
    }
    found = {}
    for key in keys:
        if key in inputs:
            found[key] = inputs[key]
        elif embedding is not None and key in embedding.table_sets:
            found[key] = list(embedding.field_names(key))
        else:
            found[key] = [key.partition("/")[2] or key]
    return found
