"""A commented configuration to start from."""

import json
from typing import Any

from rankup_keras.cli.look import MANY, Column, split_values, user_column
from rankup_keras.cli.problems import RunError


def starter(
    paths: list[str], columns: list[Column], rows: int, file_format: str, given: dict[str, Any]
) -> str:
    """The text of a configuration for a file's columns.

    Args:
        paths: the data.
        columns: what its columns seem to be.
        rows: how many rows were looked at.
        file_format: the format.
        given: options of text files that the user gave.

    Raises:
        RunError: no column is a label.
    """
    labels = [column for column in columns if column.role == "label"]
    if not labels:
        raise RunError(
            "No column looks like a label (0 and 1, named label, click, …). Name it with --label. "
            f"Columns: {', '.join(column.name for column in columns)}."
        )
    user = user_column(columns)
    lines = [
        "# Everything about a model, from data to export:",
        f"#   rankup-keras train <this file>      (looked at: {rows:,} rows)",
        "# What is commented out shows other choices. `rankup-keras train --help` tells more.",
        "",
        "data:",
        f"  path: {_quoted(paths[0] if len(paths) == 1 else paths)}  # file, folder or pattern",
        f"  format: {file_format}",
        *_csv(given),
        *_split(columns, user),
        "  # bad_rows: {policy: skip, limit: 1000}  # default: stop at the first one",
        "",
        "tasks:  # columns of 0 and 1",
    ]
    lines += [f"  - {_quoted(c.name)}  # {100 * c.rate:.1f} % positive" for c in labels]
    lines += ["", "features:"]
    for column in columns:
        lines += _feature(column, user)
    if all(line.strip().startswith("#") for line in lines[lines.index("features:") + 1 :]):
        raise RunError("No column can be a feature.")
    lines += ["", *_model(columns), "", *_training(labels, columns, user), ""]
    lines += [
        "# export: {path: saved_models/ranker}  # default: the run's own folder",
        "",
    ]
    return "\n".join(lines)


def _csv(given: dict[str, Any]) -> list[str]:
    if not given:
        return []
    pairs = ", ".join(f"{key}: {_quoted(value)}" for key, value in given.items())
    return [f"  csv: {{{pairs}}}"]


def _split(columns: list[Column], user: str | None) -> list[str]:
    by = next((column for column in columns if column.role == "split"), None)
    if by is not None:
        parts = split_values(by)
        if len(parts) == 2 and "train" not in parts:
            # Published without its training part: the larger one of what is there trains.
            parts = {"train": parts["validation"], "validation": parts["test"]}
        if "train" in parts:
            lines = ["  split:", f"    column: {_quoted(by.name)}"]
            return lines + [f"    {part}: {_quoted(values)}" for part, values in parts.items()]
    lines = ["  split: {train: 0.8, validation: 0.1, test: 0.1, seed: 0}  # rows by chance"]
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


def _model(columns: list[Column]) -> list[str]:
    fields = any(column.role in ("categorical", "list") for column in columns)
    kind = "RankUp" if fields else "DLRM"
    lines = ["model:", f"  type: {kind}  # or RankMixer, RankElastor, DLRM, DCNv2"]
    if fields:
        lines += ["  token_dim: 32", "  num_blocks: 2", "  embedding_dropout: 0.2"]
    return [*lines, "  # preset: rankup_base  # in place of `type`"]


def _training(labels: list[Column], columns: list[Column], user: str | None) -> list[str]:
    first = labels[0].name
    monitor = "val_auc" if len(labels) == 1 else f"val_{first}_auc"
    names = ["auc", "log_loss", "ne", "calibration", *(["gauc"] if user else [])]
    lines = [
        "training:",
        "  batch_size: 1024",
        "  epochs: 10",
        "  seed: 0",
        "  optimizer: adam  # or {embeddings: adagrad, dense: adam}, for large tables",
        "  learning_rate: 0.001",
        f"  metrics: [{', '.join(names)}]",
    ]
    if user:
        lines.append(f"  gauc_by: {_quoted(user)}  # ranks within a user's rows")
    lines.append(f"  early_stopping: {{monitor: {_quoted(monitor)}, mode: max, patience: 2}}")
    return lines


def _quoted(value: Any) -> str:
    """A value as YAML takes it: JSON is YAML, and plain words need no quotes."""
    if isinstance(value, list):
        return "[" + ", ".join(_quoted(item) for item in value) + "]"
    if isinstance(value, str) and value.replace("_", "a").isalnum() and value[0].isalpha():
        words = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
        if value.lower() not in words:
            return value
    return json.dumps(value, ensure_ascii=False)
