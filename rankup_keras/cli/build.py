"""From a configuration to files, features, a model and its training."""

from pathlib import Path
from typing import Any

import keras

import rankup_keras as rk
from rankup_keras import metrics
from rankup_keras.cli import signatures
from rankup_keras.cli.check import make_feature
from rankup_keras.cli.problems import ConfigError, RunError, nearest
from rankup_keras.cli.settings import Config, Split, SplitOptimizer, TaskSettings
from rankup_keras.cli.yaml_file import Location, YamlFile
from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.csv_options import CsvOptions
from rankup_keras.data.data_error import DataError
from rankup_keras.data.files import Files
from rankup_keras.data.where import OneOf, Share, Where
from rankup_keras.features import FeatureSet
from rankup_keras.models import from_preset

PARTS = ("train", "validation", "test")


def feature_set(config: Config) -> FeatureSet:
    """The features, which have learned nothing yet."""
    return FeatureSet([make_feature(item) for item in config.features], name="features")


def task_list(config: Config) -> list[rk.Task]:
    """The tasks."""
    return [
        rk.Task(**task.model_dump()) if isinstance(task, TaskSettings) else rk.Task(task)
        for task in config.tasks
    ]


def has_part(config: Config, part: str) -> bool:
    """Whether there are rows for a part: `train`, `validation` or `test`."""
    if config.data.path is None:
        return getattr(config.data, part) is not None
    if config.data.split is None:
        return part == "train"
    return getattr(config.data.split, part) is not None


def open_files(
    config: Config,
    file: YamlFile,
    features: FeatureSet,
    part: str,
    bad_rows: BadRows | None = None,
    extra: list[str] | None = None,
) -> Files:
    """The files of a part.

    Raises:
        RunError: the configuration has none.
        ConfigError: they lack a column that the configuration names.
        DataError: they cannot be read.
    """
    if not has_part(config, part):
        raise RunError(
            f"The configuration names no rows for {part!r}. Give `data.{part}`, or "
            f"`data.split.{part}` beside `data.path`."
        )
    data = config.data
    paths = data.path if data.path is not None else getattr(data, part)
    where = [] if data.split is None else [_where(data.split, part)]
    try:
        return Files(
            paths,
            features,
            task_list(config),
            weight=data.weight,
            where=where,
            format=data.format,
            csv=CsvOptions(**data.csv.model_dump()),
            bad_rows=bad_rows,
            extra=extra or [],
        )
    except DataError as error:
        raise _located(config, file, error) from error


def _located(config: Config, file: YamlFile, error: DataError) -> Exception:
    """The error of a column that is not there, with the line that names it."""
    if not error.reason.startswith("There is no column"):
        return error
    name = error.reason.split("'")[1]
    at: Location | None = None
    for number, item in enumerate(config.features):
        if item.get("name") == name:
            at = ("features", number)
    for number, task in enumerate(task_list(config)):
        if task.label == name:
            at = ("tasks", number)
    split = config.data.split
    if split is not None and name in (split.column, split.by):
        at = ("data", "split")
    if config.data.weight == name:
        at = ("data", "weight")
    if at is None:
        return error
    return ConfigError(file.path, [file.problem(at, str(error))])


def _where(split: Split, part: str) -> Where:
    if split.column is not None:
        return OneOf(split.column, tuple(getattr(split, part)))
    begin = 0.0
    for name in PARTS:
        share = float(getattr(split, name) or 0)
        if name == part:
            return Share(begin, min(1.0, begin + share), split.seed, split.by)
        begin += share
    raise ValueError(f"`part` must be one of {PARTS}. Received: {part!r}.")


def make_model(config: Config, file: YamlFile, features: FeatureSet) -> Any:
    """The model, on adapted features.

    Raises:
        ConfigError: settings that do not go together, in the words of the model.
    """
    settings = {k: v for k, v in config.model.items() if k not in ("type", "preset")}
    try:
        if config.model.get("preset"):
            return from_preset(config.model["preset"], features, task_list(config), **settings)
        return signatures.model_class(config.model)(features, task_list(config), **settings)
    except (ValueError, TypeError) as error:
        message = " ".join(str(error).split())
        raise ConfigError(file.path, [file.problem(("model",), message)]) from error


def compile_model(config: Config, model: Any) -> None:
    """Compiles with the configuration's optimizer and metrics."""
    training = config.training
    task_metrics: dict[str, list[Any]] = {}
    for task in model.tasks:
        made: list[Any] = []
        for name in training.metrics:
            if name == "auc":
                made.append(keras.metrics.AUC(num_thresholds=1000, name="auc"))
            elif name == "log_loss":
                made.append(keras.metrics.BinaryCrossentropy(name="log_loss"))
            elif name == "ne":
                made.append(metrics.NormalizedEntropy())
            elif name == "calibration":
                made.append(metrics.Calibration())
            else:
                made.append(metrics.GAUC(str(training.gauc_by)))
        task_metrics[task.name] = made
    model.compile(optimizer=_optimizer(config), metrics=task_metrics)


def _optimizer(config: Config) -> Any:
    chosen = config.training.optimizer
    if isinstance(chosen, SplitOptimizer):
        optimizer = rk.optimizers.Split(embeddings=chosen.embeddings, dense=chosen.dense)
    else:
        optimizer = keras.optimizers.get(chosen)
    if config.training.learning_rate is not None:
        optimizer.learning_rate = config.training.learning_rate
    return optimizer


def run_folder(config: Config, file: YamlFile, given: Path | None) -> Path:
    """Where a run leaves what it makes: as asked, as configured, else `runs/<name of the file>`."""
    if given is not None:
        return given
    return Path(config.run.folder or f"runs/{file.path.stem}")


def part_name(given: str) -> str:
    """A part, by the name that the command line gives."""
    if given not in PARTS:
        raise RunError(f"There is no part {given!r}. {nearest(given, PARTS)}")
    return given
