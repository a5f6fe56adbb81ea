"""Python-side state of a training run: callbacks, random numbers, log files."""

import dataclasses
import os
import pathlib
import random
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from rankup_keras.compat.random_state import global_seed_state

# Attributes that a callback is given anew in every process.
_GIVEN_ANEW = frozenset({"model", "_model", "params", "validation_data"})


class NotPlainDataError(TypeError):
    """A value that is not plain data."""


class Packer:
    """Plain data as JSON, with its arrays beside it.

    Attributes:
        arrays: dict from key to array, filled by `pack` and read by `unpack`.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        self.arrays: dict[str, np.ndarray] = dict(arrays or {})

    def pack(self, value: Any) -> Any:
        """A value as JSON can hold it; floats keep every bit."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray | np.generic):
            if value.dtype.hasobject:
                raise NotPlainDataError(type(value).__name__)
            key = str(len(self.arrays))
            self.arrays[key] = np.array(value)
            return {"array": key, "scalar": isinstance(value, np.generic)}
        if isinstance(value, list | tuple | set | frozenset):
            return {type(value).__name__: [self.pack(item) for item in value]}
        if isinstance(value, Mapping):
            return {"dict": [[self.pack(k), self.pack(v)] for k, v in value.items()]}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            kind = type(value)
            return {"class": [kind.__module__, kind.__qualname__], "fields": self.pack(fields)}
        raise NotPlainDataError(type(value).__name__)

    def unpack(self, item: Any) -> Any:
        """The inverse of `pack`."""
        if not isinstance(item, dict):
            return item
        if "array" in item:
            array = self.arrays[item["array"]]
            return array[()] if item["scalar"] else array
        if "dict" in item:
            return {self.unpack(key): self.unpack(value) for key, value in item["dict"]}
        if "class" in item:
            module, name = item["class"]
            return getattr(sys.modules[module], name)(**self.unpack(item["fields"]))
        ((kind, items),) = item.items()
        values = (self.unpack(part) for part in items)
        return {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind](values)


def callback_start(callback: Any) -> dict[str, Any]:
    """What a callback holds when training starts, to know later what has changed."""
    return {name: value for name, value in vars(callback).items() if name not in _GIVEN_ANEW}


def callback_state(callback: Any, start: Mapping[str, Any], packer: Packer) -> dict[str, Any]:
    """The attributes of a callback that training has changed and that are plain data.

    Numbers and strings that are as they were at the start are left to
    `on_train_begin`: a clock's start among them means something only in its
    own process. Lists and records are always kept, arrays only when they were
    replaced: a callback's data does not belong in a checkpoint.
    """
    state = {}
    for name, value in vars(callback).items():
        if name in _GIVEN_ANEW or callable(value):
            continue
        same = name in start and start[name] is value
        if same and not (isinstance(value, list | dict | set) or dataclasses.is_dataclass(value)):
            continue
        if same and any(isinstance(part, np.ndarray) for part in keras.tree.flatten(value)):
            continue
        trial = Packer(packer.arrays)
        try:
            state[name] = trial.pack(value)
        except NotPlainDataError:
            continue
        packer.arrays = trial.arrays
    return state


def restore_callback(callback: Any, state: Mapping[str, Any], packer: Packer) -> None:
    """Puts attributes back."""
    for name, value in state.items():
        setattr(callback, name, packer.unpack(value))


def random_state(packer: Packer) -> Any:
    """State of Python's, NumPy's and Keras's global random numbers."""
    # First, since Keras draws its start from Python's when it is first asked.
    of_keras = keras.ops.convert_to_numpy(global_seed_state())
    return packer.pack(
        {
            "python": random.getstate(),
            "numpy": np.random.get_state(),  # noqa: NPY002 (the state that others draw from)
            "keras": of_keras,
        }
    )


def restore_random(state: Any, packer: Packer) -> None:
    """Puts the global random numbers back."""
    found = packer.unpack(state)
    random.setstate(found["python"])
    np.random.set_state(found["numpy"])  # noqa: NPY002
    global_seed_state().assign(found["keras"])


def log_files(callbacks: Sequence[Any]) -> list[pathlib.Path]:
    """Files that callbacks append to: `CSVLogger`'s, and those of writers that they hold."""
    found = []
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger):
            found.append(callback.filename)
        for part in vars(callback).values():
            path = getattr(part, "path", None)
            if callable(getattr(part, "write", None)) and isinstance(path, str | os.PathLike):
                found.append(path)
    return [pathlib.Path(path) for path in found]


def cut_back(path: pathlib.Path, size: int) -> None:
    """Removes the lines that were written after the checkpoint."""
    if path.is_file() and path.stat().st_size > size:
        os.truncate(path, size)


def check_same_model(
    state: Mapping[str, Any],
    form: int,
    own: list[Any],
    callbacks: Sequence[Any],
    directory: pathlib.Path,
) -> None:
    """Refuses a checkpoint of another model, optimizer or list of callbacks.

    Args:
        state: what the checkpoint says of itself.
        form: the format that is read.
        own: name, shape and dtype of this training's variables.
        callbacks: this training's.
        directory: folder of the checkpoints.
    """
    if state["format"] != form or len(state["callbacks"]) != len(callbacks):
        raise ValueError(
            f"The checkpoint in '{directory}' is of format {state['format']} with "
            f"{len(state['callbacks'])} callbacks; this training has format {form} and "
            f"{len(callbacks)} callbacks. Use another directory for another training."
        )
    kept = state["model"]
    if own == kept:
        return
    pairs = zip(own + [None] * len(kept), kept + [None] * len(own), strict=False)
    mine, theirs = next((a, b) for a, b in pairs if a != b)
    raise ValueError(
        f"The checkpoint in '{directory}' is of another model or optimizer: it has {theirs} where "
        f"this one has {mine}. Use another directory for another training."
    )


def listens(callback: Any, name: str) -> bool:
    """Whether a callback has a hook of its own; those of training batches have two names."""
    base = keras.callbacks.Callback
    return any(
        hook in vars(callback) or getattr(type(callback), hook) is not getattr(base, hook)
        for hook in {name, name.replace("train_batch", "batch")}
    )
