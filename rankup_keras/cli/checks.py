"""Checks a whole configuration, and names everything that is wrong with it at once."""

import inspect
import reprlib
import typing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic

from rankup_keras.cli.failures import ConfigError, nearest
from rankup_keras.cli.settings import PARTS, SCHEMA, Config, Data, Feature, Task, Training
from rankup_keras.cli.yaml_file import Location, YamlFile

Found = Iterator[tuple[Location, str]]


def load(path: Path, changes: list[str] | None = None) -> tuple[Config, YamlFile]:
    """Reads and checks a configuration; raises `ConfigError` with every problem."""
    file = YamlFile(path, changes or [])
    return _checked(file, None), file


def check_schema(path: Path, changes: list[str] | None = None) -> None:
    """Raises `ConfigError` with every problem that can be found without TensorFlow."""
    _checked(YamlFile(path, changes or []), SCHEMA)


def _checked(file: YamlFile, context: str | None) -> Any:
    problems, sections, config = [], {}, None
    try:
        config = Config.model_validate(file.content, context=context)
        sections = dict(config)
    except pydantic.ValidationError as error:
        problems = [file.problem(at, message) for at, message in _wrong_types(file, error)]
        sections = _sections_without(error, file.content, context)
    for check in CHECKS if context == SCHEMA else (*CHECKS, ends_of_a_split_are_readable):
        names = inspect.signature(check).parameters
        if names.keys() <= sections.keys():
            found = check(*(sections[name] for name in names))
            problems += [file.problem(at, message) for at, message in found]
    if problems:
        raise ConfigError(problems)
    return config


def rows_have_one_source(data: Data) -> Found:
    """Either `path` and perhaps `split`, or a path per part."""
    if (data.path is None) == (data.train is None):
        yield ("data",), "Give `path`, with `split` to part its rows, or `train` and `validation`."
    if data.path is None and data.split is not None:
        yield ("data", "split"), "`split` parts the rows of `path`."
    if data.path is not None and (data.validation is not None or data.test is not None):
        yield ("data",), "`validation` and `test` go with `train`."


def split_is_by_values_or_by_shares(data: Data) -> Found:
    """Lists of values with a column, ranges with a time, shares without."""
    split, at = data.split, ("data", "split")
    if split is None:
        return
    parts = {part: getattr(split, part) for part in PARTS}
    lists = [part for part, value in parts.items() if isinstance(value, list)]
    shares = {part: value for part, value in parts.items() if isinstance(value, float | int)}
    if split.column is not None and split.time is not None:
        yield at, "Give `column` or `time`, not both."
        return
    if split.time is not None:
        for part, value in parts.items():
            ends = value if isinstance(value, list) else []
            if value is not None and (len(ends) != 2 or ends == [None, None]):
                message = "With `time`, give where a part begins and where it ends, such as "
                yield (*at, part), f"{message}[2024-01-01, 2024-02-01] or [2024-02-01, null]."
        return
    if any(None in parts[part] for part in lists):
        yield at, "A value of `column` is null; null is an end of a range with `time`."
    if split.column is not None and shares:
        yield (*at, next(iter(shares))), "With `column`, give lists of its values."
    if split.column is None and lists:
        yield (*at, lists[0]), "Values need a `column`; without one, give shares such as 0.8."
    if sum(shares.values()) > 1 + 1e-9:
        yield at, f"The shares add up to {sum(shares.values()):g}, more than 1."


def ends_of_a_split_are_readable(data: Data) -> Found:
    """Times of a form that rows are compared with."""
    from rankup_keras.data.row_filters import Between

    split = data.split
    if split is None or split.time is None:
        return
    for part in PARTS:
        ends = getattr(split, part)
        if not isinstance(ends, list) or len(ends) != 2 or ends == [None, None]:
            continue
        try:
            Between(split.time, *(str(end) if hasattr(end, "isoformat") else end for end in ends))
        except ValueError as error:
            yield ("data", "split", part), str(error)


def names_of_features_differ(features: list[Feature]) -> Found:
    """No two features of one name."""
    yield from _names_differ("features", features)


def histories_are_of_a_feature(features: list[Feature]) -> Found:
    """A history has the vocabulary of a single-valued categorical feature."""
    singles = set(_single_valued(features))
    for number, feature in enumerate(features):
        if feature.type == "history" and feature.of not in singles:
            message = "`of` must name a single-valued categorical feature. Received: "
            message += f"{feature.of!r}. {nearest(feature.of, singles)}"
            yield ("features", number, "of"), message


def names_of_tasks_differ(tasks: list[Task]) -> Found:
    """No two tasks of one name."""
    yield from _names_differ("tasks", tasks)


def labels_are_no_features(tasks: list[Task], features: list[Feature]) -> Found:
    """A model that reads the label learns nothing else."""
    names = {feature.name for feature in features}
    for number, label in enumerate(task.label or task.name for task in tasks):
        if label in names:
            yield ("tasks", number), f"The label {label!r} is a feature as well."


def gauc_has_groups(training: Training, features: list[Feature]) -> Found:
    """GAUC and calibration by segment are computed within the values of a feature."""
    by, singles = training.gauc_by, _single_valued(features)
    if by is None and "gauc" in training.metrics:
        message = "The metric 'gauc' needs `gauc_by`, the feature to rank within, such as the user."
        yield ("training", "metrics"), message
    for key in ("gauc_by", "calibration_by"):
        by = getattr(training, key)
        if by is not None and by not in singles:
            message = f"{by!r} is not a single-valued categorical feature. {nearest(by, singles)}"
            yield ("training", key), message


def early_stopping_monitors_a_metric(training: Training, tasks: list[Task], data: Data) -> Found:
    """The value to monitor is among those that an epoch ends with."""
    if training.early_stopping is None:
        if training.fresh_tables == "when_worse":
            message = "'when_worse' needs `early_stopping`, whose metric says when; or take 'always'."
            yield ("training", "fresh_tables"), message
        return
    name, known = training.early_stopping.monitor, _monitored(training, tasks, data)
    ranks = name.startswith(("effective_rank", "token_effective_rank")) and training.rank_log
    if name not in known and not ranks:
        at = ("training", "early_stopping", "monitor")
        yield at, f"There is no metric {name!r}. {nearest(name, known)}"


CHECKS = (
    rows_have_one_source,
    split_is_by_values_or_by_shares,
    names_of_features_differ,
    histories_are_of_a_feature,
    names_of_tasks_differ,
    labels_are_no_features,
    gauc_has_groups,
    early_stopping_monitors_a_metric,
)


def _names_differ(section: str, items: list[Any]) -> Found:
    """Both are told, since either may be the wrong one."""
    counts = Counter(item.name for item in items)
    for number, name in enumerate(item.name for item in items):
        if counts[name] > 1:
            yield (section, number), f"The name {name!r} is given twice."


def _single_valued(features: list[Feature]) -> list[str]:
    return [f.name for f in features if f.type == "categorical" and f.max_length is None]


def _monitored(training: Training, tasks: list[Task], data: Data) -> list[str]:
    """Names of the values that an epoch ends with, those of validation first."""
    # With one task Keras names metrics without it.
    heads = [""] if len(tasks) == 1 else [f"{task.name}_" for task in tasks]
    names = [f"{head}{metric}" for head in heads for metric in training.metrics] + ["loss"]
    names += [f"{head}loss" for head in heads if head]
    return [f"val_{name}" for name in names] + names if data.has("validation") else names


def _wrong_types(file: YamlFile, error: pydantic.ValidationError) -> Found:
    """Pydantic's errors at their places in the file, those of one union's branches as one."""
    grouped: dict[Location, list[Any]] = {}
    for item in error.errors():
        grouped.setdefault(_in_file(file.content, item), []).append(item)
    for at, items in grouped.items():
        first, kinds = items[0], {item["type"] for item in items}
        if kinds == {"extra_forbidden"}:
            yield at, f"The key {at[-1]!r} is unknown. {nearest(at[-1], _keys(first['loc'][:-1]))}"
        elif kinds == {"missing"}:
            yield at[:-1], f"The key {at[-1]!r} is missing."
        elif kinds == {"union_tag_invalid"} and isinstance(first["input"], dict):
            key = "preset" if first["input"].get("preset") else "type"
            name = first["ctx"]["tag"]
            valid = first["ctx"]["expected_tags"].strip("'").split("', '")
            problem = f"There is no {key} {name!r}." if name else "The key 'type' is missing."
            if name == "sequence":  # as it was called up to version 0.1
                yield (*at, key), f"{problem} It is now called 'history': write `type: history`."
            else:
                yield (*at, key), f"{problem} {nearest(name, valid)}"
        elif kinds == {"value_error"}:
            yield at, str(first["ctx"]["error"])
        else:
            told = dict.fromkeys(item["msg"].removeprefix("Input ") for item in items)
            value = reprlib.repr(first["input"])
            yield at, f"The value {' or '.join(told)}. Received: {value}."


def _sections_without(error: pydantic.ValidationError, content: Any, context: Any) -> dict:
    """The sections that have no error, to be checked further."""
    wrong = {item["loc"][0] for item in error.errors()}
    fields = {name: f for name, f in Config.model_fields.items() if name not in wrong}
    types: Any = {name: (field.annotation, field) for name, field in fields.items()}
    rest = pydantic.create_model("Rest", **types)
    rows = {key: value for key, value in content.items() if key in fields}
    return dict(rest.model_validate(rows, context=context))


def _in_file(content: Any, item: Any) -> Location:
    """An error's location without what stands for the branches of unions."""
    steps = list(item["loc"])
    key = [steps.pop()] if item["type"] in ("missing", "extra_forbidden") else []
    kept: list[Any] = []
    for step in steps:
        keys: Any = range(len(content)) if isinstance(content, list) else content
        if isinstance(content, dict | list) and step in keys:
            content = content[step]
            kept.append(step)
    return (*kept, *key)


def _keys(location: Location) -> list[str]:
    """Valid keys at a location of a configuration."""
    section: Any = Config
    options = {"": section}
    for step in location:
        if step in options:
            section = options[str(step)]
        elif step in section.model_fields:
            options = _sections(section.model_fields[step].annotation)
            section = next(iter(options.values()), section)
    return list(section.model_fields)


def _sections(annotation: Any) -> dict[str, Any]:
    """The sections that a type is made of, by name."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return {annotation.__name__: annotation}
    found: dict[str, Any] = {}
    for part in typing.get_args(annotation):
        found |= _sections(part)
    return found
