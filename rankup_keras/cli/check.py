"""Checks a whole configuration, and names everything that is wrong with it at once."""

from pathlib import Path
from typing import Any

import pydantic

import rankup_keras as rk
from rankup_keras.cli import signatures
from rankup_keras.cli.problems import ConfigError, Problem, nearest
from rankup_keras.cli.settings import Config, TaskSettings
from rankup_keras.cli.yaml_file import Location, YamlFile, plain
from rankup_keras.features.feature import Feature
from rankup_keras.models import PRESETS


def check(file: YamlFile) -> Config:
    """The configuration in a file.

    Raises:
        ConfigError: with every problem that was found.
    """
    problems: list[Problem] = []
    content = plain(file.content)
    config: Config | None = None
    try:
        config = Config.model_validate(content)
    except pydantic.ValidationError as error:
        problems += _problems(file, content, error, (), Config)
    _check_features(file, content.get("features"), problems)
    _check_model(file, content.get("model"), problems)
    if config is not None:
        _check_data(file, config, problems)
        _check_tasks(file, config, problems)
        _check_training(file, config, problems)
    if problems or config is None:
        raise ConfigError(file.path, list(dict.fromkeys(problems)))
    return config


def make_feature(item: dict[str, Any]) -> Feature:
    """The feature that an item of `features` describes."""
    settings = {key: value for key, value in item.items() if key != "type"}
    return signatures.FEATURES[item["type"]](**settings)


def _check_features(file: YamlFile, items: Any, problems: list[Problem]) -> None:
    if not isinstance(items, list):
        return
    first: dict[str, int] = {}
    made: dict[str, Feature] = {}
    for number, item in enumerate(items):
        at: Location = ("features", number)
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        if kind not in signatures.FEATURES:
            what = "is missing" if kind is None else f"is {kind!r}"
            message = f"`type` {what}. {nearest(kind, signatures.FEATURES)}"
            if kind == "sequence":
                message = "`type` 'sequence' is now called 'history'. Write `type: history`."
            problems.append(file.problem((*at, "type") if kind else at, message))
            continue
        name = item.get("name")
        if isinstance(name, str):
            if name in first:
                line = file.line(("features", first[name]))
                problems.append(
                    file.problem(at, f"The name {name!r} is given twice, on line {line} as well.")
                )
            first.setdefault(name, number)
        owner = signatures.FEATURES[kind]
        settings = {key: value for key, value in item.items() if key != "type"}
        try:
            signatures.arguments(owner).model_validate(settings)
        except pydantic.ValidationError as error:
            problems += _problems(file, settings, error, at, signatures.arguments(owner))
            continue
        try:
            made.setdefault(str(name), make_feature(item))
        except (ValueError, TypeError) as error:
            problems.append(file.problem(at, str(error)))
    singles = [n for n, f in made.items() if isinstance(f, rk.Categorical) and f.max_length is None]
    for name, feature in made.items():
        if isinstance(feature, rk.History) and feature.of not in singles:
            message = (
                f"`of` must name a single-valued categorical feature. Received: {feature.of!r}. "
                f"{nearest(feature.of, singles)}"
            )
            problems.append(file.problem(("features", first[name], "of"), message))


def _check_model(file: YamlFile, settings: Any, problems: list[Problem]) -> None:
    if not isinstance(settings, dict):
        return
    at: Location = ("model",)
    preset, kind = settings.get("preset"), settings.get("type")
    if preset is not None and kind is not None:
        problems.append(file.problem((*at, "preset"), "Give `type` or `preset`, not both."))
        return
    if preset is not None and preset not in PRESETS:
        message = f"There is no preset {preset!r}. {nearest(preset, PRESETS)}"
        problems.append(file.problem((*at, "preset"), message))
        return
    if kind is not None and kind not in signatures.MODELS:
        message = f"There is no model {kind!r}. {nearest(kind, signatures.MODELS)}"
        problems.append(file.problem((*at, "type"), message))
        return
    owner = signatures.model_class(settings)
    rest = {key: value for key, value in settings.items() if key not in ("type", "preset")}
    try:
        signatures.arguments(owner).model_validate(rest)
    except pydantic.ValidationError as error:
        extra = ("type", "preset")
        problems += _problems(file, rest, error, at, signatures.arguments(owner), extra)


def _check_data(file: YamlFile, config: Config, problems: list[Problem]) -> None:
    data = config.data
    if (data.path is None) == (data.train is None):
        message = "Give `path`, with `split` to part its rows, or `train` and `validation`."
        problems.append(file.problem(("data",), message))
    if data.path is None and data.split is not None:
        problems.append(file.problem(("data", "split"), "`split` parts the rows of `path`."))
    if data.path is not None and (data.validation is not None or data.test is not None):
        problems.append(file.problem(("data",), "`validation` and `test` go with `train`."))
    if not data.csv.header and not data.csv.columns:
        message = "Without a header, `columns` must name the columns in their order."
        problems.append(file.problem(("data", "csv"), message))
    if data.split is not None:
        _check_split(file, config, problems)


def _check_split(file: YamlFile, config: Config, problems: list[Problem]) -> None:
    split = config.data.split
    assert split is not None
    at: Location = ("data", "split")
    parts = {name: getattr(split, name) for name in ("train", "validation", "test")}
    lists = [name for name, value in parts.items() if isinstance(value, list)]
    shares = {name: value for name, value in parts.items() if isinstance(value, float | int)}
    if split.column is not None and shares:
        message = "With `column`, give lists of its values."
        problems.append(file.problem((*at, next(iter(shares))), message))
    if split.column is None and lists:
        message = "Values need a `column`; without one, give shares such as 0.8."
        problems.append(file.problem((*at, lists[0]), message))
    if sum(shares.values()) > 1 + 1e-9:
        message = f"The shares add up to {sum(shares.values()):g}, more than 1."
        problems.append(file.problem(at, message))


def _check_tasks(file: YamlFile, config: Config, problems: list[Problem]) -> None:
    names: list[str] = []
    features = {item.get("name") for item in config.features}
    for number, task in enumerate(config.tasks):
        name = task.name if isinstance(task, TaskSettings) else task
        label = (task.label if isinstance(task, TaskSettings) else None) or name
        at: Location = ("tasks", number)
        if name in names:
            problems.append(file.problem(at, f"The task {name!r} is given twice."))
        names.append(name)
        if label in features:
            message = f"The label {label!r} is a feature as well: the model would read it off."
            problems.append(file.problem(at, message))
        try:
            rk.Task(name)
        except ValueError as error:
            problems.append(file.problem(at, str(error)))


def _check_training(file: YamlFile, config: Config, problems: list[Problem]) -> None:
    training = config.training
    at: Location = ("training",)
    if "gauc" in training.metrics and training.gauc_by is None:
        message = "The metric 'gauc' needs `gauc_by`, the feature to rank within, such as the user."
        problems.append(file.problem((*at, "metrics"), message))
    if training.gauc_by is not None:
        singles = [
            str(item.get("name"))
            for item in config.features
            if item.get("type") == "categorical" and item.get("max_length") is None
        ]
        if training.gauc_by not in singles:
            message = (
                f"{training.gauc_by!r} is no single-valued categorical feature. "
                f"{nearest(training.gauc_by, singles)}"
            )
            problems.append(file.problem((*at, "gauc_by"), message))
    if training.early_stopping is not None:
        known = monitored(config)
        monitor = training.early_stopping.monitor
        ranks = monitor.startswith(("effective_rank", "token_effective_rank"))
        if monitor not in known and not (ranks and training.rank_log):
            message = f"There is no {monitor!r} to watch. {nearest(monitor, known)}"
            problems.append(file.problem((*at, "early_stopping", "monitor"), message))


def monitored(config: Config) -> list[str]:
    """Names of the values that an epoch ends with, those of validation first."""
    tasks = [task.name if isinstance(task, TaskSettings) else task for task in config.tasks]
    # With one task Keras names metrics without it.
    heads = [""] if len(tasks) == 1 else [f"{task}_" for task in tasks]
    names = [f"{head}{metric}" for head in heads for metric in config.training.metrics]
    names += ["loss"] + ([f"{task}_loss" for task in tasks] if len(tasks) > 1 else [])
    validates = config.data.validation is not None or (
        config.data.split is not None and config.data.split.validation is not None
    )
    return [f"val_{name}" for name in names] + names if validates else names


def _problems(
    file: YamlFile,
    content: Any,
    error: pydantic.ValidationError,
    at: Location,
    owner: type[pydantic.BaseModel],
    extra: tuple[str, ...] = (),
) -> list[Problem]:
    """Pydantic's errors with lines, those of the branches of one union as one."""
    grouped: dict[Location, list[Any]] = {}
    for item in error.errors():
        loc = tuple(item["loc"])
        # Names of the branches of a union are no keys of the file.
        real: Location = loc
        if item["type"] not in ("missing", "extra_forbidden"):
            real = _real(content, loc)
        elif len(loc) > 1:
            real = (*_real(content, loc[:-1]), loc[-1])
        grouped.setdefault(real, []).append(item)
    problems = []
    for loc, items in grouped.items():
        kinds = {item["type"] for item in items}
        if kinds == {"extra_forbidden"}:
            names = [*_names(owner, loc[:-1]), *extra]
            message = f"The key {loc[-1]!r} is unknown. {nearest(loc[-1], names)}"
            problems.append(file.problem((*at, *loc), message))
        elif kinds == {"missing"}:
            problems.append(file.problem((*at, *loc[:-1]), f"The key {loc[-1]!r} is missing."))
        else:
            said = dict.fromkeys(item["msg"].removeprefix("Input ") for item in items)
            value = items[0]["input"]
            problems.append(
                file.problem(
                    (*at, *loc), f"The value {' or '.join(said)}. Received: {_short(value)}."
                )
            )
    return problems


def _real(content: Any, loc: Location) -> Location:
    kept: list[str | int] = []
    for step in loc:
        keys: Any = content if isinstance(content, dict) else ()
        if isinstance(content, list):
            keys = range(len(content))
        if step in keys:
            content = content[step]
            kept.append(step)
    return tuple(kept)


def _names(owner: Any, loc: Location) -> list[str]:
    """Valid keys at a location of a section."""
    for step in loc:
        field = getattr(owner, "model_fields", {}).get(step)
        if field is None:
            continue
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        options += [inner for option in options for inner in getattr(option, "__args__", ())]
        sections = [o for o in options if isinstance(o, type) and issubclass(o, pydantic.BaseModel)]
        owner = sections[0] if sections else owner
    return list(getattr(owner, "model_fields", {}))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def load(path: Path, changes: list[str] | None = None) -> tuple[Config, YamlFile]:
    """Reads and checks a configuration."""
    file = YamlFile(path, changes or [])
    return check(file), file
