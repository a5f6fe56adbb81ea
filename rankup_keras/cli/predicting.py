"""Files of probabilities, whole or not at all."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from rankup_keras.cli import scoring
from rankup_keras.cli.problems import RunError
from rankup_keras.data.files import Files


def write_predictions(
    model: Any, files: Files, path: Path, keep: list[str], batch_size: int, overwrite: bool
) -> int:
    """Writes the columns to keep, and `<task>_probability` for every task.

    Args:
        model: a trained model.
        files: the rows, with `keep` as extra columns.
        path: `.parquet` or `.csv`.
        keep: columns to carry over.
        batch_size: rows in a batch.
        overwrite: whether a file that is there may be replaced.

    Returns:
        The number of rows.

    Raises:
        RunError: the file is there, or has another ending.
    """
    ending = path.suffix.lower()
    if ending not in (".parquet", ".csv"):
        raise RunError(f"The output must end in .parquet or .csv. Received: {str(path)!r}.")
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists. Name another file, or replace it with --overwrite.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    writer: Any = None
    rows = 0
    try:
        for table, scores in scoring.score(model, files, batch_size):
            columns = {name: table.column(f"extra/{name}") for name in keep}
            columns.update({f"{task}_probability": pa.array(v) for task, v in scores.items()})
            part = pa.table(columns)
            if ending == ".csv":
                part = pa.table(
                    {
                        name: column.cast(pa.string()) if _is_binary(column.type) else column
                        for name, column in zip(part.column_names, part.columns, strict=True)
                    }
                )
            if writer is None:
                kind = pq.ParquetWriter if ending == ".parquet" else pacsv.CSVWriter
                writer = kind(str(partial), part.schema)
            writer.write_table(part.cast(writer.schema) if ending == ".parquet" else part)
            rows += table.num_rows
        if writer is None:
            raise RunError("There is no row to score.")
        writer.close()
        os.replace(partial, path)
    finally:
        if writer is not None:
            writer.close()
        partial.unlink(missing_ok=True)
    return rows


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
