"""Yesterday's weights into today's model: rows of tables by value, the rest by layer."""

import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.compat.optimizers import scalars_of, slots_of, without_loss_scaling
from rankup_keras.features import Categorical, FeatureSet
from rankup_keras.features.value_book import former_places
from rankup_keras.layers.embeddings import FieldEmbedding, TableView
from rankup_keras.layers.tokens import TaskTokens
from rankup_keras.layers.towers import TaskTowers
from rankup_keras.models.compiled_metrics import for_tasks
from rankup_keras.models.ranking_model import RankingModel
from rankup_keras.models.warm_start_report import WarmStart
from rankup_keras.optimizers import Split
from rankup_keras.optimizers.split import part_of

# Rows that are moved at once: a table is never copied whole.
PIECE = 1 << 16


def warm_start(
    model: RankingModel,
    old: RankingModel | str | os.PathLike[str],
    new_rows: str = "initializer",
) -> WarmStart:
    """Starts a model from another one's weights, whatever became of ids, features and tasks.

    Rows of embedding tables move by *value*: the row of "ad_17" is found through both
    vocabularies, and the optimizer's slots move with it. Dense weights move by layer, those of
    towers by task, with their slots and moving averages; step counts and learning rates follow.
    What cannot move starts anew and is named in the result: all dense weights where the list of
    features differs, by name or order, since the same place of a kernel would stand for another
    feature, or where tasks with tokens differ.

    Args:
        model: the model to start, on today's `FeatureSet` (see `rankup_keras.features.grow` and
            `rankup_keras.models.rebuild`). If it is not compiled, it is compiled as `old` is.
        old: a model, the path of a `.keras` file, or a run's folder.
        new_rows: what the rows of new values start as: `"initializer"` (default), or
            `"unknown"`, the row that unknown values had, so that a new value's score is what it
            was before it had a row (features with a vocabulary).

    Returns:
        A `WarmStart`, which prints as a table.

    Raises:
        ValueError: a file without vocabularies, such as one of weights alone; another
            `new_rows`.

    Example:

    ```python
    import rankup_keras as rk

    monday = {"ad": ["a", "b"], "user": ["x", "y"], "click": [0, 1]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(monday)
    old = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
    old.compile()
    old.fit(monday, verbose=0)

    tuesday = {"ad": ["b", "c"], "user": ["x", "z"], "click": [1, 0]}
    grown = rk.features.grow(features, tuesday, day=1)
    model = rk.models.rebuild(old, grown.features)
    print(rk.warm_start(model, old))
    model.fit(tuesday, verbose=0)
    ```
    """
    if new_rows not in ("initializer", "unknown"):
        raise ValueError(
            f"`new_rows` must be 'initializer' or 'unknown'. Received: new_rows={new_rows!r}."
        )
    old = old if isinstance(old, keras.Model) else _load(old)
    if not isinstance(old, RankingModel):
        raise ValueError(
            f"`old` must be a model of rankup_keras, or hold one. Received: {type(old).__name__}."
        )
    with model.distribute_strategy.scope():
        if not model.compiled and old.compiled:
            given = keras.saving.deserialize_keras_object(old.get_compile_config())
            model.compile(**for_tasks(given, model.tasks))
        for owner in (model, old):
            optimizer = _optimizer(owner)
            if optimizer is not None and not optimizer.built:
                optimizer.build(owner.trainable_variables)
    before = {table.name for table in old.features.tables()}
    origins = {
        table.name: row_origins(table.name, model.features, old.features)
        for table in model.features.tables()
        if table.name in before
    }
    anew = _why_anew(model, old)
    dense: dict[str, str] = {}
    kept, moved = 0, set()
    for ours, theirs in _paired_layers(model, old):
        if isinstance(ours, FieldEmbedding):
            moved |= _move_tables(ours, theirs, origins, new_rows, model, old, dense)
        elif anew:
            dense.update((weight.path, anew) for weight in ours.weights)
        else:
            kept += _move_dense(ours, theirs, dense, model, old)
    _move_scalars(_optimizer(model), _optimizer(old))
    ours, theirs = _names(model), _names(old)
    return WarmStart(
        _table_changes(model, old, {n: o for n, o in origins.items() if n in moved}),
        kept,
        dense,
        *([n for n in a if n not in b] for a, b in ((ours[0], theirs[0]), (theirs[0], ours[0]))),
        *([n for n in a if n not in b] for a, b in ((ours[1], theirs[1]), (theirs[1], ours[1]))),
    )


def _optimizer(model: RankingModel) -> Any:
    return model.optimizer if model.compiled else None


def _why_anew(model: RankingModel, old: RankingModel) -> str:
    """Why no dense weight can move; empty where they can."""
    ours, theirs = _names(model), _names(old)
    if ours[0] != theirs[0]:
        # The same place of a kernel would then stand for another feature.
        return "the features differ, or their order"
    tokens = any(isinstance(layer, TaskTokens) for layer in (*model.layers, *old.layers))
    return "the tasks differ, and each has a token" if tokens and ours[1] != theirs[1] else ""


def row_origins(name: str, new: FeatureSet, old: FeatureSet) -> np.ndarray:
    """For every row of a feature's new table the row that it had, -1 where it had none."""
    owners = [{f.name: f for f in features.leaves(Categorical)} for features in (new, old)]
    ours: Any = owners[0].get(name)
    theirs: Any = owners[1].get(name)
    sizes = [{t.name: t.rows for t in features.tables()} for features in (new, old)]
    rows, before = sizes[0][name], sizes[1].get(name, 0)
    found = np.full(rows, -1, np.int32)  # a tenth of a table's memory in int64
    if ours is None:  # buckets of time between events
        return np.arange(rows) if theirs is None and rows == before else found
    same_way = (
        theirs is not None
        and (ours.hash_buckets, ours.num_hashes) == (theirs.hash_buckets, theirs.num_hashes)
        and (ours.num_ids is None) == (theirs.num_ids is None)
    )
    if not same_way:
        return found
    if not ours.uses_vocabulary:
        common = min(rows, before)
        found[:common] = np.arange(common)
        return found
    # Missing and unknown values first, then the vocabulary in its order.
    special = 1 + min(ours.oov_buckets, theirs.oov_buckets)
    found[:special] = np.arange(special)
    place = former_places(*(features.lookups[name].pieces() for features in (new, old)))
    learned = found[1 + ours.oov_buckets :]
    learned[:] = place
    np.add(learned, 1 + theirs.oov_buckets, out=learned, where=place >= 0)
    return found


def _load(path: str | os.PathLike[str]) -> RankingModel:
    file = Path(path)
    if file.is_dir() and (file / "model.keras").is_file():
        file = file / "model.keras"
    if not file.name.endswith(".keras"):
        raise ValueError(
            "`old` must be a model, a `.keras` file or a run's folder with a `model.keras`: a file "
            "of weights alone does not hold the values that its rows belong to. "
            f"Received: {str(path)!r}."
        )
    model = keras.saving.load_model(file)
    if not isinstance(model, RankingModel):
        raise ValueError(
            f"`old` must hold a model of rankup_keras. Received: {type(model).__name__}."
        )
    return model


def _paired_layers(model: RankingModel, old: RankingModel) -> Iterator[tuple[Any, Any]]:
    """Layers of both models, the first of a class with the first of it, and so on."""
    theirs: dict[type, list[Any]] = {}
    for layer in old.layers:
        theirs.setdefault(type(layer), []).append(layer)
    for layer in model.layers:
        same = theirs.get(type(layer), [])
        yield layer, (same.pop(0) if same else None)


def _move_tables(
    layer: Any,
    former: Any,
    origins: dict[str, np.ndarray],
    new_rows: str,
    model: RankingModel,
    old: RankingModel,
    new: dict[str, str],
) -> set[str]:
    """Moves the rows of a layer's tables; returns the tables of which all did."""
    moved_tables = {key.split("/", 1)[1] for key in layer.table_views()}
    views = layer.table_views()
    theirs = {} if former is None else former.table_views()
    for key, view in views.items():
        feature = key.split("/", 1)[1]
        source = theirs.get(key)
        if source is None or feature not in origins or source.dim != view.dim:
            if feature in origins:
                change = "there was none" if source is None else f"{source.dim} became {view.dim}"
                new[f"table {key}"] = f"width: {change}"
            moved_tables.discard(feature)
            continue
        ours, held = _slots(model, view.variable, old, source.variable)
        places = _slot_views(view, ours), _slot_views(source, held)
        moved = [(view, source)]
        moved += [(own, places[1][name]) for name, own in places[0].items() if name in places[1]]
        for name in ours.keys() & held.keys() - places[0].keys():
            if ours[name].shape == held[name].shape:  # of columns, as Adafactor's
                ours[name].assign(held[name])
        unknown = _unknown_rows(feature, model, old) if new_rows == "unknown" else None
        for start in range(0, view.rows, PIECE):
            rows = np.arange(start, min(start + PIECE, view.rows))
            origin = origins[feature][rows].astype(np.int64)
            for target, giver in moved:
                have = origin >= 0
                _write(target, rows[have], _read(giver, origin[have]))
            if unknown is not None and not have.all():
                # Of the slots too: a new value goes on from where the unknown ones were.
                for target, giver in moved:
                    _write(target, rows[~have], _read(giver, unknown[rows[~have]]))
    return moved_tables


def _unknown_rows(name: str, model: RankingModel, old: RankingModel) -> np.ndarray | None:
    """For every row of a feature's table that of the old one which its value had as unknown."""
    lookup, former = (m.features.lookups.get(name) for m in (model, old))
    if lookup is None or former is None:
        return None
    values = tf.constant(lookup.vocabulary())
    if former.dtype_in != "string":
        values = tf.strings.to_number(values, tf.int64)
    special = np.minimum(np.arange(1 + lookup.oov_buckets), former.oov_buckets)
    return np.concatenate([special, former(values).numpy()])


def _write(view: TableView, rows: np.ndarray, values: np.ndarray) -> None:
    """Overwrites rows of a table, and only its columns of the variable."""
    if not len(rows):
        return
    variable, at = view.variable, rows + view.offset
    if len(variable.shape) == 1:
        values = values[:, 0]
    elif values.shape[1] < int(np.prod(variable.shape[1:])):
        whole = tf.gather(variable.value, at).numpy()
        whole[:, view.start : view.start + view.dim] = values
        values = whole
    # Of a strategy's variable every replica has one.
    for copy in getattr(variable.value, "values", (variable.value,)):
        copy.scatter_nd_update(at[:, None], values)


def _read(view: TableView, rows: np.ndarray) -> np.ndarray:
    if len(view.variable.shape) > 1:
        return view.read(rows)
    return tf.gather(view.variable.value, rows + view.offset).numpy()[:, None]


def _slots(
    model: RankingModel, variable: Any, old: RankingModel, former: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Slots of a variable of each model, by name; none where optimizers mean others by them."""
    parts = part_of(_optimizer(model), variable), part_of(_optimizer(old), former)
    if parts[0] is None or type(parts[0]) is not type(parts[1]):
        return {}, {}
    return slots_of(parts[0], variable), slots_of(parts[1], former)


def _slot_views(view: TableView, slots: dict[str, Any]) -> dict[str, TableView]:
    """Where the table's part of every slot of its variable lies."""
    found = {}
    for name, slot in slots.items():
        if slot.shape[:1] != view.variable.shape[:1]:
            continue
        if slot.shape == view.variable.shape:
            found[name] = dataclasses.replace(view, variable=slot)
        else:
            # One number a row, for each of the tables that lie side by side.
            widths = np.cumsum([0, *view.variable.row_parts])
            at = int(np.flatnonzero(widths == view.start)[0]) if len(slot.shape) > 1 else 0
            found[name] = dataclasses.replace(view, variable=slot, start=at, dim=1)
    return found


def _move_dense(
    layer: Any, former: Any, new: dict[str, str], model: RankingModel, old: RankingModel
) -> int:
    theirs = {} if former is None else _by_name(former)
    kept = 0
    tasks: Any = [[], []]
    if isinstance(layer, TaskTowers) and former is not None:
        tasks = [layer.task_names, former.task_names]
    for key, weight in _by_name(layer).items():
        source = theirs.get(key)
        places: list[Any] = [slice(None)] * 2
        if tasks[0] != tasks[1] and source is not None and len(source.shape):
            # Every task has a slice of its own.
            both = [name for name in tasks[0] if name in tasks[1]]
            places = [[names.index(name) for name in both] for names in tasks]
            new.update({f"{weight.path} of {t}": "the task is new" for t in {*tasks[0]} - {*both}})
        if source is None:
            new[weight.path] = "there was none"
        elif source.shape[1:] != weight.shape[1:] or (
            tasks[0] == tasks[1] and source.shape != weight.shape
        ):
            new[weight.path] = f"shape {tuple(source.shape)} became {tuple(weight.shape)}"
        else:
            kept += 1
            _assign(weight, source, places)
            if weight.trainable:
                ours, held = _slots(model, weight, old, source)
                for name, slot in ours.items():
                    if name in held and held[name].shape[1:] == slot.shape[1:]:
                        _assign(slot, held[name], places)
    return kept


def _assign(target: Any, source: Any, places: list[Any]) -> None:
    values = np.array(target)
    if values.ndim:
        values[places[0]] = np.array(source)[places[1]]
    else:
        values = np.array(source)
    target.assign(values)


def _by_name(layer: Any) -> dict[tuple[str, int], Any]:
    """Weights by their path within the layer; Keras numbers names through a process."""
    found: dict[tuple[str, int], Any] = {}
    for weight in layer.weights:
        path = "/".join(re.sub(r"_\d+$", "", p) for p in weight.path.split("/")[1:])
        number = sum(path == other for other, _ in found)
        found[path, number] = weight
    return found


def _move_scalars(ours: Any, theirs: Any) -> None:
    """Steps and learning rates of optimizers of the same kind."""
    if ours is None or theirs is None:
        return
    scaled = [isinstance(o, keras.optimizers.LossScaleOptimizer) for o in (ours, theirs)]
    if any(scaled):
        _move_scalars(*map(without_loss_scaling, (ours, theirs)))
    if type(ours) is not type(theirs):
        return
    if isinstance(ours, Split):
        _move_scalars(ours.embeddings, theirs.embeddings)
        _move_scalars(ours.dense, theirs.dense)
        ours.iterations.assign(theirs.iterations)
        return
    scalars = [scalars_of(optimizer) for optimizer in (ours, theirs)]
    # Where one has a schedule for a rate, only the steps are the same.
    shared = None if len(scalars[0]) == len(scalars[1]) else 1
    for variable, source in zip(*(found[:shared] for found in scalars), strict=True):
        variable.assign(source)


def _names(model: RankingModel) -> tuple[list[str], list[str]]:
    return [f.name for f in model.features.features], [task.name for task in model.tasks]


def _table_changes(
    model: RankingModel, old: RankingModel, origins: dict[str, np.ndarray]
) -> dict[str, dict[str, int]]:
    before = {table.name: table.rows for table in old.features.tables()}
    changes = {}
    for table in model.features.tables():
        kept = int(np.count_nonzero(origins.get(table.name, np.empty(0)) >= 0))
        gone = before.get(table.name, 0) - kept
        changes[table.name] = {"kept": kept, "new": table.rows - kept, "gone": gone}
    return changes
