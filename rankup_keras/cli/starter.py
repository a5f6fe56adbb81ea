"""A commented configuration to start from."""

import json
import re
from pathlib import Path
from typing import Any

from rankup_keras.cli.column_roles import Column
from rankup_keras.cli.failures import RunError

# Distinct values in the sample from which on a column is hashed.
MANY = 20_000
_USER = re.compile(r"^(user|user_?id|uid|member_?id|visitor_?id)$")


def default_path(data: str) -> Path:
    """The name of the configuration of some data, after which its run folder is named too."""
    stem = Path(data).name.split(".")[0].replace("*", "").strip("-_") or "config"
    return Path(f"{stem}.yaml")


def starter(
    paths: list[str], columns: list[Column], rows: int, file_format: str, csv: dict[str, Any]
) -> str:
    """The text of a configuration for the columns of files, judged by their first rows."""
    labels = [column for column in columns if column.role == "label"]
    if not labels:
        raise RunError(
            "No column looks like a label (0 and 1, named label, click, …). Name it with --label. "
            f"Columns: {', '.join(column.name for column in columns)}."
        )
    roles = {column.role for column in columns}
    if not roles & {"categorical", "numeric", "list", "vector"}:
        raise RunError("No column can be a feature.")
    users = [c.name for c in columns if c.role == "categorical" and _USER.match(c.name.lower())]
    user = users[0] if users else None
    options = ", ".join(f"{key}: {_quoted(value)}" for key, value in csv.items())
    lines = [
        "# Everything about a model, from data to export:",
        f"#   rankup-keras train <this file>      (rows read: {rows:,})",
        "# What is commented out shows other choices. See also `rankup-keras train --help`.",
        "",
        "data:",
        f"  path: {_quoted(paths[0] if len(paths) == 1 else paths)}  # file, folder or pattern",
        f"  format: {file_format}",
        *([f"  csv: {{{options}}}"] if csv else []),
        *_split(columns, user),
        "  # bad_rows: {policy: skip, limit: 1000}  # default: stop at the first one",
        "",
        "tasks:  # columns of 0 and 1",
        *(f"  - {_quoted(label.name)}  # {label.rate:.1%} positive" for label in labels),
        "",
        "features:",
        *(line for column in columns for line in _feature(column, user)),
        "",
        *_model(bool(roles & {"categorical", "list"})),
        "",
        *_training(labels, user),
        "",
        "# export: {path: saved_models/ranker}  # default: the run's own folder",
        "",
    ]
    return "\n".join(lines)


def _split(columns: list[Column], user: str | None) -> list[str]:
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
        lines = [f"    {part}: {_quoted(values)}" for part, values in parts.items() if values]
        return ["  split:", f"    column: {_quoted(by.name)}", *lines]
    lines = ["  split: {train: 0.8, validation: 0.1, test: 0.1, seed: 0}  # rows at random"]
    if user is not None:
        lines.append(f"  # by: {_quoted(user)} within `split` keeps the rows of a user together")
    return lines


def _feature(column: Column, user: str | None) -> list[str]:
    name = _quoted(column.name)
    if column.role in ("label", "split"):
        return []
    if column.role == "skip":
        return [f"  # {name} is left out: {column.why}"]
    if column.role == "numeric":
        return [f"  - {{type: numeric, name: {name}}}  # {column.why}"]
    if column.role == "vector":
        return [f"  - {{type: pretrained, name: {name}, dim: {column.length}}}"]
    side = ", side: user" if column.name == user else ""
    if column.role == "list":
        length = f"max_length: {column.length}"
        return [
            f"  - {{type: categorical, name: {name}, {length}, dtype: {column.dtype}}}",
            f"  # or, as a history: {{type: history, name: {name}, of: <feature>, {length}}}",
        ]
    many = f", hash_buckets: {10 * MANY}" if column.distinct > MANY else ", min_count: 2"
    seen = f"{column.distinct:,} values"
    settings = f"type: categorical, name: {name}, dtype: {column.dtype}{many}{side}"
    return [f"  - {{{settings}}}  # {column.why}, {seen}"]


def _model(categories: bool) -> list[str]:
    lines = ["  token_dim: 32", "  num_blocks: 2", "  embedding_dropout: 0.2"] if categories else []
    return [
        "model:",
        f"  type: {'RankUp' if categories else 'DCNv2'}  # or RankMixer, RankElastor, DLRM, DCNv2",
        *lines,
        "  # preset: rankup_base  # instead of `type`",
    ]


def _training(labels: list[Column], user: str | None) -> list[str]:
    monitor = "val_auc" if len(labels) == 1 else f"val_{labels[0].name}_auc"
    gauc = [f"  gauc_by: {_quoted(user)}  # ranks within the rows of a user"] if user else []
    return [
        "training:",
        "  batch_size: 1024",
        "  epochs: 10",
        "  seed: 0",
        "  optimizer: adam  # or {embeddings: adagrad, dense: adam}, for large tables",
        "  learning_rate: 0.001",
        f"  metrics: [auc, log_loss, ne, calibration{', gauc' if user else ''}]",
        *gauc,
        f"  early_stopping: {{monitor: {_quoted(monitor)}, mode: max, patience: 2}}",
    ]


def _quoted(value: Any) -> str:
    """A value as YAML takes it: JSON is YAML, and plain words need no quotes."""
    if isinstance(value, list):
        return "[" + ", ".join(_quoted(item) for item in value) + "]"
    if isinstance(value, str) and value.replace("_", "a").isalnum() and value[0].isalpha():
        words = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
        if value.lower() not in words:
            return value
    return json.dumps(value, ensure_ascii=False)
