"""A commented configuration to start from."""

import json
import re
from pathlib import Path
from typing import Any

from rankup_keras.cli.column_roles import Column, Found
from rankup_keras.cli.failures import RunError
from rankup_keras.cli.label_columns import LABEL, plain
from rankup_keras.cli.time_columns import FRACTIONS, OWN_FORM

# Distinct values in the sample from which on a column is hashed.
MANY = 20_000
# Rows below which there are too few to part, and below which the shares are larger.
FEW, SOME = 100, 1000
_USER = re.compile(r"^(user|user_?id|uid|member_?id|visitor_?id)$")
# Where a row was shown, which mostly follows from the scores, and what is said of it afterwards.
_SHOWN = re.compile(r"(^|_)(position|pos|rank|slot|ratings?|stars)(_|$)")
_SIDES = "add `side: user` to those that all candidates of a request have in common"
_FEATURES = {"categorical", "numeric", "list", "history", "vector", "events"}


def default_path(data: str) -> Path:
    """The name of the configuration of some data, after which its run folder is named too."""
    stem = Path(data).name.split(".")[0].replace("*", "").strip("-_") or "config"
    return Path(f"{stem}.yaml")


def starter(paths: list[str], found: Found) -> str:
    """The text of a configuration for the columns of files, judged by a sample of their rows."""
    columns, rows = found.columns, found.rows
    labels = [column for column in columns if column.role == "label"]
    if not labels:
        raise RunError(
            "No column looks like a label (0 and 1, named label, click, …). Name it with --label; "
            "of other values say which are positive: --label 'rating>=4'. "
            f"{_like_labels(columns)}Columns: {', '.join(column.name for column in columns)}."
        )
    features = [column for column in columns if column.role in _FEATURES]
    if not features:
        why = "; ".join(f"{c.name!r}: {c.why}" for c in columns if c.role in ("skip", "time"))
        raise RunError(f"No column can be a feature. {why or 'All of them are labels'}.")
    users = [c.name for c in features if c.role == "categorical" and _USER.match(plain(c.name))]
    user = users[0] if users else None
    # A request that ranks for one user needs a column of the candidates beside.
    side = user if len(features) > 1 else None
    split, parts = _split(columns, user, rows)
    names = _task_names(labels)
    options = ", ".join(f"{key}: {_quoted(value)}" for key, value in found.csv.items())
    tables = any(c.role in ("categorical", "list", "history", "events") for c in features)
    lines = [
        "# Everything about a model, from data to export:",
        f"#   rankup-keras train <this file>      (rows read: {rows:,})",
        "# What is commented out shows other choices. See also `rankup-keras train --help`.",
        *(f"# {sentence}" for sentence in found.told),
        "",
        "data:",
        f"  path: {_quoted(paths[0] if len(paths) == 1 else paths)}  # file, folder or pattern",
        f"  format: {found.format}",
        *([f"  csv: {{{options}}}"] if options else []),
        *split,
        _bad_rows(found),
        "",
        "tasks:  # columns of 0 and 1, or of values that `positive` tells apart",
        *_tasks(labels, names),
        "",
        "features:" + ("" if side else f"  # {_SIDES}") * (len(features) > 1),
        *(line for column in columns for line in _feature(column, side)),
        "",
        *_model(tables),
        "",
        *_training(names, user, rows, "validation" in parts, tables),
        "",
        "# export: {path: saved_models/ranker}  # default: the run's own folder",
        "",
    ]
    return "\n".join(lines)


def _like_labels(columns: list[Column]) -> str:
    """What is wrong with columns that are only named like labels, and what else could be one."""
    named = [column for column in columns if LABEL.search(plain(column.name))]
    lines = [f"{c.name!r} is named like one: {c.why}. " for c in named if c.role == "skip"]
    ways = [f"--label '{c.name}=<value>'" for c in named if c.role == "categorical"]
    told = "".join(lines) + (f"Perhaps {' or '.join(ways)}. " if ways else "")
    return told + _of_two(columns)


def _of_two(columns: list[Column]) -> str:
    two = [repr(c.name) for c in columns if c.role == "categorical" and c.distinct == 2]
    return f"Of two values: {', '.join(two)}. " if two else ""


def _split(columns: list[Column], user: str | None, rows: int) -> tuple[list[str], set[str]]:
    """The lines of the split, and the parts that there are."""
    by = next((column for column in columns if column.role == "split"), None)
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for value in by.values if by else ():
        lower = value.lower()
        test = lower in ("test", "eval")
        part = "train" if lower.startswith("train") else "test" if test else "validation"
        parts[part].append(value)
    if not parts["train"]:
        # Published without its training part: the larger one of what is there trains.
        parts = {"train": parts["validation"], "validation": parts["test"], "test": []}
    if by is not None and parts["train"] and (parts["validation"] or parts["test"]):
        given = {part: values for part, values in parts.items() if values}
        lines = [f"    {part}: {_quoted(values)}" for part, values in given.items()]
        return ["  split:", f"    column: {_quoted(by.name)}", *lines], set(given)
    if rows < FEW:
        return [f"  # split: {rows} rows are too few to part; see docs/cli.md"], {"train"}
    shares = "train: 0.8, validation: 0.1, test: 0.1"
    if rows < SOME:
        shares = "train: 0.6, validation: 0.2, test: 0.2"
    lines = [f"  split: {{{shares}, seed: 0}}  # rows at random"]
    if user is not None:
        lines.append(f"  # by: {_quoted(user)} within `split` keeps the rows of a user together")
    times = [column for column in columns if column.role == "time" and column.values]
    if times:
        begin, end = map(_quoted, times[0].values)
        ranges = f"train: [null, {begin}], validation: [{begin}, {end}], test: [{end}, null]"
        lines.append("  # or by time, as the model will meet rows once it serves:")
        lines.append(f"  # split: {{time: {_quoted(times[0].name)}, {ranges}}}")
    return lines, {"train", "validation", "test"}


def _bad_rows(found: Found) -> str:
    if not found.bad_rows:
        return "  # bad_rows: {policy: skip, limit: 1000}  # default: stop at the first one"
    limit = max(1000, 2 * found.bad_rows)
    why = f"{found.bad_rows:,} lines are malformed: left out, written to bad_rows.jsonl"
    return f"  bad_rows: {{policy: skip, limit: {limit}}}  # {why}"


def _task_names(labels: list[Column]) -> list[str]:
    """Names that an export takes, after the columns."""
    names: list[str] = []
    for label in labels:
        name = label.name if label.name.isidentifier() and label.name.isascii() else ""
        name = name or re.sub(r"[^a-z0-9_]", "", plain(label.name)).strip("_") or "label"
        names.append(f"{name}_{len(names) + 1}" if name in names else name)
    return names


def _tasks(labels: list[Column], names: list[str]) -> list[str]:
    lines = []
    for label, name in zip(labels, names, strict=True):
        why = f"  # {label.rate:.1%} positive; {label.why}"
        given = []
        if label.positive is not None:
            rule = f"{{column: {_quoted(label.name)}, positive: {_quoted(label.positive)}}}"
            given.append(f"label: {rule}")
        elif name != label.name:
            given.append(f"label: {_quoted(label.name)}")
        if label.missing:
            given.append("missing_labels: skip")
            why += f"; {label.missing:,} of the rows that were looked at lack it"
        task = f"{{{', '.join([f'name: {_quoted(name)}', *given])}}}" if given else _quoted(name)
        lines.append(f"  - {task}{why}")
    return lines


def _feature(column: Column, user: str | None) -> list[str]:
    name = _quoted(column.name)
    if column.role in ("label", "split", "part"):
        return []
    if column.role == "events":
        return _events(column, user)
    if column.role == "time" and column.of:
        unit = f", unit: {column.unit}" if column.unit else ""
        return [f"  - {{type: timestamp, name: {name}{unit}}}  # of the request, for {column.of}"]
    if column.role == "skip":
        return [f"  # {name} is left out: {column.why}"]
    if column.role == "time":
        why = f"{column.why}; a time itself teaches nothing of later ones"
        unit = f", unit: {column.unit}" if column.unit else ""
        read = {OWN_FORM: "2024-01-31 is", FRACTIONS: "whole numbers are"}.get(column.why)
        if read:
            return [f"  # {name} is left out: {why}; {read} read, in a split by time too"]
        offer = f"  # - {{type: timestamp, name: {name}{unit}}}  # its hour and weekday in UTC"
        return [f"  # {name} is left out: {why}", offer]
    shown = "; is it known before the ranking?" if _SHOWN.search(plain(column.name)) else ""
    if column.role == "numeric":
        return [f"  - {{type: numeric, name: {name}}}  # {column.why}{shown}"]
    if column.role == "vector":
        return [f"  - {{type: pretrained, name: {name}, dim: {column.length}}}"]
    if column.role == "history":
        of = f"of: {_quoted(column.of)}, max_length: {column.length}"
        of += ", matches: true" * (column.of != user)
        return [f"  - {{type: history, name: {name}, {of}}}  # {column.why}"]
    if column.role == "list":
        length = f"max_length: {column.length}"
        return [
            f"  - {{type: categorical, name: {name}, {length}, dtype: {column.dtype}}}",
            f"  # or, as a history: {{type: history, name: {name}, of: <feature>, {length}}}",
        ]
    side = ", side: user" if column.name == user else ""
    # Values with line breaks stand in no vocabulary file.
    dtype, many = f", dtype: {column.dtype}", ", min_count: 2" if column.repeated else ""
    if column.distinct > MANY or column.lines:
        dtype, many = ", dtype: string", f", hash_buckets: {10 * min(MANY, column.distinct)}"
    seen = f"{column.distinct:,} values"
    why = f"{column.why}, {seen}{shown}"
    return [f"  - {{type: categorical, name: {name}{dtype}{many}{side}}}  # {why}"]


def _rule(label: Column) -> str:
    """What is positive of a label: `rating >= 4`, `answer = yes`."""
    rule = label.positive
    if rule is None:
        return label.name
    values = " or ".join(rule) if isinstance(rule, list) else str(rule)
    return f"{label.name} {'' if values[:1] in '<>' else '= '}{values}"


def summary(path: Path, found: Found) -> str:
    """What was guessed, and where it says why, in a few lines for people."""
    tasks = [column for column in found.columns if column.role == "label"]
    labels = [f"{_rule(c)} ({c.rate:.1%} positive)" for c in tasks]
    others = _of_two(found.columns) if all(c.why.startswith("a rating") for c in tasks) else ""
    features = sum(column.role in _FEATURES for column in found.columns)
    left = [c.name for c in found.columns if c.role == "skip" or (c.role == "time" and not c.of)]
    some = ", ".join(map(_quoted, left[:10])) + (
        f" and {len(left) - 10} more" if len(left) > 10 else ""
    )
    lines = [
        *found.told,
        f"To predict: {', '.join(labels)}",
        *([f"{others}To predict one of these: --label '<column>=<value>'"] if others else []),
        f"Features: {features} of {len(found.columns)} columns",
        *([f"Left out, the file says why: {some}"] if left else []),
        f"Wrote {path}. Look it over, then: rankup-keras train {path}",
    ]
    return "\n".join(lines)


def _events(column: Column, user: str | None) -> list[str]:
    """The lines of events, after the column of their times."""
    given = column.events or {}
    compared = any(isinstance(of, str) and of != user for of in given["ids"].values())
    ids = ", ".join(f"{_quoted(name)}: {_quoted(of)}" for name, of in given["ids"].items())
    numbers = ", ".join(f"{_quoted(n)}: {how}" for n, how in given["numbers"].items())
    order = given["order"]
    return [
        f"  - type: events  # aligned lists; models see those before {_quoted(column.of)}",
        f"    name: {given['name']}",
        f"    ids: {{{ids}}}  # a feature's table, or values of its own",
        *([f"    numbers: {{{numbers}}}"] if numbers else []),
        f"    time: {_quoted(column.name)}",
        f"    request_time: {_quoted(column.of)}",
        f"    order: {order}",
        f"    max_length: {column.length}",
        *(["    matches: true  # how many events have the candidate's values"] * compared),
    ]


def _model(tables: bool) -> list[str]:
    return [
        "model:",
        f"  type: {'RankUp' if tables else 'DCNv2'}  # or RankMixer, RankElastor, DLRM, DCNv2",
        *(["  embedding_dropout: 0.3", "  dropout: 0.1"] if tables else []),
        *(["  # token_dim: 32, num_blocks: 2 and all other arguments of the class"] * tables),
        "  # preset: rankup_base  # instead of `type`",
    ]


def batch_size_for(rows: int) -> int:
    """At most 1024, and as many as leave a hundred steps: few rows take few steps to learn from."""
    return next(size for size in (1024, 512, 256, 128, 64, 32) if rows >= 100 * size or size == 32)


def _training(
    tasks: list[str], user: str | None, rows: int, validation: bool, tables: bool
) -> list[str]:
    monitor = "val_auc" if len(tasks) == 1 else f"val_{tasks[0]}_auc"
    gauc = [f"  gauc_by: {_quoted(user)}  # ranks within the rows of a user"] if user else []
    stopping = [f"  early_stopping: {{monitor: {_quoted(monitor)}, mode: max, patience: 2}}"]
    if tables:
        stopping.append(
            "  fresh_tables: when_worse  # then re-initialize embedding tables each epoch"
        )
    return [
        "training:",
        f"  batch_size: {batch_size_for(rows)}",
        "  epochs: 10",
        "  seed: 0",
        "  # optimizer: {embeddings: lazy_adam, dense: adam}  # the default; see docs/cli.md",
        "  # learning_rate: 0.001",
        f"  metrics: [auc, log_loss, ne, calibration{', gauc' if user else ''}]",
        *gauc,
        *(stopping if validation else []),
    ]


def _quoted(value: Any) -> str:
    """A value as YAML takes it: JSON is YAML, and plain words need no quotes."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_quoted(item) for item in value) + "]"
    if isinstance(value, str) and value.replace("_", "a").isalnum() and value[0].isalpha():
        words = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
        if value.lower() not in words:
            return value
    return json.dumps(value, ensure_ascii=isinstance(value, str) and not value.isprintable())
