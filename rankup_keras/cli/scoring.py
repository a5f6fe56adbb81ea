"""Probabilities of the rows of files, batch by batch: their exact metrics, or a file of them."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import tensorflow as tf

from rankup_keras import durable
from rankup_keras.cli.failures import RunError
from rankup_keras.data.files import Files
from rankup_keras.data.packing import key
from rankup_keras.diagnostics.calibration import Reliability, reliability
from rankup_keras.metrics import exact
from rankup_keras.models.labels import with_certain_negatives
from rankup_keras.models.sampled_labels import weights_of_all

METRICS: dict[str, Callable[..., float]] = {
    "auc": exact.auc,
    "log_loss": exact.log_loss,
    "ne": exact.normalized_entropy,
    "calibration": exact.calibration,
}
Scored = Iterator[tuple[pa.Table, dict[str, Any]]]


def score(model: Any, files: Files, batch_size: int) -> Scored:
    """Tables of rows, labels and extra columns among them, with the probabilities of every task."""

    def predict(packed: dict[str, tf.Tensor]) -> Any:
        item = files.arrange(packed)
        columns = item[0] if isinstance(item, tuple) else item
        return model(model.features(columns), training=False)

    compiled = tf.function(predict, input_signature=[files.packer.signature], autograph=False)
    dtypes = {name: spec.dtype for name, spec in files.packer.signature.items()}
    for table in files.tables(batch_size):
        packed = files.packer.pack(table)
        tensors = {name: tf.constant(value, dtypes[name]) for name, value in packed.items()}
        scores = compiled(tensors)
        yield table, {task: value.numpy().reshape(-1) for task, value in scores.items()}


class Evaluation(NamedTuple):
    """What `evaluate` found.

    Attributes:
        rows: their number.
        metrics: task → metric → value.
        calibration: task → its reliability; tasks without labels have none.
    """

    rows: int
    metrics: dict[str, dict[str, float]]
    calibration: dict[str, Reliability]


def evaluate(
    model: Any,
    files: Files,
    batch_size: int,
    group: str | None,
    scored: Scored | None = None,
    segment: str | None = None,
) -> Evaluation:
    """Exact metrics of all tasks, and their calibration.

    Rows whose label is missing are left out of their task's metrics, NaN where no row is left. A
    negative of a task with a `keep_rate` counts as the `1 / rate` rows that it stands for.

    All scores are held in memory, 8 bytes per row and task. `group` is the column to rank within,
    one of the files' extra columns. `scored` are other scores of the files' rows, as `score` gives
    them, than those of the model. Calibration is also that within the values of the extra column
    `segment`.
    """
    labels = {target.name: key(target) for target in files.targets if target.role == "label"}
    weights = [key(target) for target in files.targets if target.role == "weight"]
    groups = [f"extra/{name}" for name in dict.fromkeys((group, segment)) if name is not None]
    rates = {task.name: task.keep_rate for task in model.tasks if task.keep_rate is not None}
    rate_columns = sorted({f"rate/{rate}" for rate in rates.values() if isinstance(rate, str)})
    kept: list[pa.Table] = []
    scores: dict[str, list[np.ndarray]] = {task: [] for task in labels}
    for part, predicted in scored or score(model, files, batch_size):
        kept.append(part.select([*labels.values(), *weights, *groups, *rate_columns]))
        for task in scores:
            scores[task].append(predicted[task])
    if not kept:
        return Evaluation(0, {}, {})
    table = pa.concat_tables(kept)
    weight = table.column(weights[0]).to_numpy() if weights else None
    group_ids = None
    if group is not None:
        group_ids = table.column(groups[0]).combine_chunks().dictionary_encode("encode").indices
    after = {task.name: task.after for task in model.tasks if task.after is not None}
    values = {task: table.column(label).to_numpy() for task, label in labels.items()}
    found, calibration = {}, {}
    for task, y in with_certain_negatives(values, after).items():
        known = ~np.isnan(y)
        y, p = y[known], np.concatenate(scores[task])[known]
        w = None if weight is None else weight[known]
        if task in rates:
            r = rates[task]
            r = table.column(f"rate/{r}").to_numpy()[known] if isinstance(r, str) else r
            w = weights_of_all(y, r) * (1 if w is None else w)
        found[task] = {n: metric(y, p, w) if len(y) else np.nan for n, metric in METRICS.items()}
        if group_ids is not None:
            found[task]["gauc"] = exact.gauc(y, p, group_ids.to_numpy()[known], w)
        if len(y):
            own = None if segment is None else _texts(table.column(f"extra/{segment}"))[known]
            calibration[task] = reliability(y, p, w, own, by=segment or "segment")
    return Evaluation(table.num_rows, found, calibration)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    """Values of a column as text; a missing one is empty."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    coded = column.combine_chunks().dictionary_encode("encode")
    names = [
        v.decode(errors="replace") if isinstance(v, bytes) else "" if v is None else str(v)
        for v in coded.dictionary.to_pylist()
    ]
    return np.array(names)[coded.indices.to_numpy()]


# Text that spreadsheets take for a formula, whatever the quotes around it; numbers are none.
_FORMULA = r"^[\s]*[=+\-@\t\r＝＋－＠]"
_NUMBER = r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?%?$"


def check_output(path: Path, overwrite: bool) -> None:
    """Refuses a file that cannot be written, before the work that it is for."""
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise RunError(f"The output must end in .parquet or .csv. Received: {str(path)!r}.")
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists. Name another file, or replace it with --overwrite.")
    durable.check_writable(path.parent)


def write_predictions(
    model: Any,
    files: Files,
    path: Path,
    keep: Sequence[str],
    batch_size: int,
    spreadsheet_safe: bool = True,
) -> tuple[int, int]:
    """Writes the columns to keep, which are extra columns of the files, and the probabilities.

    The file is whole or not there at all. With `spreadsheet_safe` text in CSV that a spreadsheet
    would run as a formula gets a `'` in front. Returns the number of rows and of such values.

    Raises:
        RunError: the file is one of those that are read, or cannot hold a column.
    """
    text = path.suffix.lower() == ".csv"
    _check_kept(model, files, path, keep, text)
    writer: Any = None
    rows = escaped = 0
    with durable.blamed(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            for table, scores in score(model, files, batch_size):
                columns = {name: table.column(f"extra/{name}") for name in keep}
                columns.update({f"{task}_probability": pa.array(v) for task, v in scores.items()})
                if text:
                    columns = {name: _as_text(name, column) for name, column in columns.items()}
                if text and spreadsheet_safe:
                    columns, found = without_formulas(columns)
                    escaped += found
                part = pa.table(columns)
                if writer is None:
                    kind = pacsv.CSVWriter if text else pq.ParquetWriter
                    writer, schema = kind(str(partial), part.schema), part.schema
                writer.write_table(part.cast(schema))
                rows += table.num_rows
            if writer is None:
                raise RunError("There is no row to score.")
            writer.close()
            durable.flush(partial)
            os.replace(partial, path)
        finally:
            if writer is not None:
                writer.close()
            partial.unlink(missing_ok=True)
    return rows, escaped


def without_formulas(columns: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Columns and their names, formulas among them made text, and how many values these were."""
    count = 0
    result = {}
    for name, column in columns.items():
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            formula = pc.and_(
                pc.match_substring_regex(column, _FORMULA),
                pc.invert(pc.match_substring_regex(column, _NUMBER)),
            )
            found = int(pc.sum(formula).as_py() or 0)
            if found:
                count += found
                column = pc.if_else(formula, pc.binary_join_element_wise("'", column, ""), column)
        result[f"'{name}" if re.search(_FORMULA, name) else name] = column
    return result, count


def _check_kept(model: Any, files: Files, path: Path, keep: Sequence[str], text: bool) -> None:
    if path.resolve() in [read.resolve() for read in files.paths]:
        raise RunError(f"{path} is one of the files to be scored. Name another one for the scores.")
    for task in model.tasks:
        if (name := f"{task.name}_probability") in keep:
            raise RunError(f"The column {name!r} cannot be kept: the scores have its name.")
    for name in keep:
        kind = files.schema.field(name).type
        if text and pa.types.is_nested(kind):
            raise RunError(
                f"The column {name!r} holds {kind}, which CSV has no place for. Write a .parquet "
                "file."
            )


def _as_text(name: str, column: Any) -> Any:
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return column
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        raise RunError(
            f"The column {name!r} holds bytes that are no UTF-8 text. Write a .parquet file."
        ) from None
