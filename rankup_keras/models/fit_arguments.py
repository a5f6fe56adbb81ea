"""What `fit` is given, checked where Keras would train or validate on something else."""

import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.features import FeatureSet


def check_passes_over(x: Any, validation_data: Any, epochs: int, kwargs: Mapping[str, Any]) -> None:
    """Refuses generators that are to be read more than once, and datasets without end.

    Of the former Keras would go over the first two batches alone, of validation data without a
    word, and of the latter a pass would not end.

    Args:
        x: the training data.
        validation_data: those of validation, or `None`.
        epochs: number of the last epoch.
        kwargs: other arguments of `fit`.

    Raises:
        ValueError: naming the argument.
    """
    passes = range(kwargs.get("initial_epoch", 0), epochs)
    every = kwargs.get("validation_freq", 1)
    validated = [e for e in passes if ((e + 1) % every == 0 if isinstance(every, int) else True)]
    for name, data, steps, number in (
        ("x", x, "steps_per_epoch", len(passes)),
        ("validation_data", validation_data, "validation_steps", len(validated)),
    ):
        ending(data, kwargs.get(steps), name, steps)
        if isinstance(data, types.GeneratorType) and number > 1 and not kwargs.get(steps):
            raise ValueError(
                f"`{name}` is a generator, which is read once, and there are {number} passes over "
                "it. Give a tf.data.Dataset or a keras.utils.PyDataset, or a generator without "
                f"end and `{steps}`."
            )


def ending(data: Any, steps: Any, name: str = "x", argument: str = "steps") -> Any:
    """Returns `data`; refuses a dataset that repeats without end unless `steps` ends its reading.

    Raises:
        ValueError: naming both arguments.
    """
    endless = (
        isinstance(data, tf.data.Dataset) and data.cardinality() == tf.data.INFINITE_CARDINALITY
    )
    if endless and not steps:
        raise ValueError(
            f"`{name}` is a dataset that repeats without end. Leave out its `.repeat()`, or give "
            f"`{argument}`."
        )
    return data


def check_split(validation_split: float) -> None:
    """Refuses a share that is none."""
    if not 0 <= validation_split < 1:
        raise ValueError(
            "`validation_split` must be a share of the rows, 0 or more and less than 1. "
            f"Received: validation_split={validation_split}."
        )


def split_rows(x: Any, y: Any, weights: Any, share: float) -> tuple[Any, Any]:
    """Rows in memory for training, and the last ones for validation, which have no weights.

    Keras applies `class_weight` to training alone; here it is part of `weights` before the split.

    Raises:
        ValueError: the rows are not in memory, or too few.
    """
    rows = len(weights) if isinstance(weights, np.ndarray) else 0
    first = int(rows * (1 - share))
    if not 0 < first < rows:
        raise ValueError(
            "`validation_split` needs rows in memory, at least one to train on and one to validate "
            f"with. Received: {share} of {rows or type(x).__name__}."
        )
    parts = keras.tree.map_structure(lambda column: (column[:first], column[first:]), (x, y))
    training, validation = (
        keras.tree.map_structure_up_to((x, y), lambda pair, i=i: pair[i], parts) for i in (0, 1)
    )
    return (*training, weights[:first]), validation


def check_rows(features: FeatureSet, inputs: Mapping[str, Any], size: int, replicas: int) -> None:
    """Refuses rows in memory that replicas cannot share, and ids beyond `num_ids`.

    Of batches of unequal parts Keras would weigh every part alike. The ids would all be trained
    as the one of unknown values.

    Args:
        features: the model's.
        inputs: encoded rows.
        size: rows of a batch.
        replicas: the strategy's.
    """
    if size % replicas:
        raise ValueError(
            f"`batch_size` is the global one and must be divisible by the strategy's {replicas} "
            f"replicas. Received: batch_size={size}. The next that is: "
            f"{size + replicas - size % replicas}."
        )
    targets = features.targets()
    for field in features.fields():
        # Buckets of gaps have no column of their own.
        if field.name not in targets or targets[field.name].aligned:
            continue
        if (number := features.table_owner(field.name).num_ids) is None:
            continue
        ids = np.asarray(inputs["encoded_ids"])[:, field.start : field.start + field.length]
        beyond = (ids == 1).any(axis=1)
        if beyond.any():
            raise ValueError(
                f"Column {field.name!r} has ids that are not in [0, {number}), the range that "
                f"`num_ids` sets, in {beyond.sum()} rows, the first in row {np.argmax(beyond)}. "
                "Give a larger `num_ids`, or -1 where an id is missing."
            )
