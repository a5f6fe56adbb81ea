"""What every token of a model is made of, read from its graph."""

from typing import Any

from rankup_keras.compat.functional_graph import call_of
from rankup_keras.layers.tokens import TaskTokens, TokenAssembly

# What makes the tokens, by the beginning of the layer's name.
FAMILIES = {
    "tokenizer": ("sparse", "the embeddings of some fields, projected"),
    "global": ("global", "all fields crossed, one view of the whole row"),
    "dense": ("dense", "the numeric columns and pretrained vectors"),
    "sequence": ("sequence", "a history, pooled"),
    "interaction": ("interaction", "the product of two fields' embeddings"),
    "crossed": ("crossed", "two pretrained vectors, crossed"),
    "extra": ("extra", "a layer of your own"),
    "task": ("task", "a learned vector per task, that gathers what the task needs"),
}


def token_sources(model: Any) -> list[tuple[str, str]]:
    """Family and fields of every token that enters the first block, in order.

    The fields are told where a layer keeps their groups, else they are empty. Of a model without
    an assembly of tokens the list is empty.
    """
    assembly = next((x for x in model.layers if isinstance(x, TokenAssembly)), None)
    if assembly is None:
        return []
    given = assembly.input
    found: list[tuple[str, str]] = []
    for tensor in given if isinstance(given, list | tuple) else [given]:
        found += _made_by(model, tensor)
    return found


def _made_by(model: Any, tensor: Any) -> list[tuple[str, str]]:
    layer, count = call_of(tensor).operation, tensor.shape[1]
    if isinstance(layer, TaskTokens):
        names = [getattr(task, "name", str(task)) for task in getattr(model, "tasks", ())]
        names = names if len(names) == layer.num_tasks else [""] * layer.num_tasks
        return [*_made_by(model, layer.input), *(("task", name) for name in names)]
    family = next((f for start, (f, _) in FAMILIES.items() if layer.name.startswith(start)), "")
    return [(family or layer.name, fields) for fields in _fields(model, layer, count)]


def _fields(model: Any, layer: Any, count: int) -> list[str]:
    features, groups = getattr(model, "features", None), getattr(layer, "groups", None)
    if features is None:
        return [""] * count
    names = [field.name for field in features.fields() if field.kind != "sequence"]
    # With several table sets side by side a place does not tell a field.
    if groups is not None and len(groups) == count:
        places = sorted(place for group in groups for place in group)
        if places == list(range(len(names))):
            return [", ".join(names[place] for place in group) for group in groups]
    if layer.name.startswith("dense"):
        names = [name.removesuffix(":missing") for name in features.numeric_names()]
        names += [name for match in features.matches() for name in match.names]
        return [", ".join(dict.fromkeys(names))]
    return [""] * count
