"""A configuration, and the files, features, model and run folder that it describes."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

import rankup_keras as rk
from rankup_keras.cli.checks import load
from rankup_keras.cli.failures import ConfigError, RunError, nearest
from rankup_keras.cli.output import Output
from rankup_keras.cli.run_folder import RunFolder
from rankup_keras.cli.settings import PARTS, Split, SplitOptimizer
from rankup_keras.data.bad_rows import BadRows
from rankup_keras.data.data_error import DataError
from rankup_keras.data.files import Files
from rankup_keras.data.paths import guess_format, resolve_paths
from rankup_keras.data.row_filters import Between, OneOf, RowFilter, Share


class Project:
    """What a configuration describes; `run` and `changes` are what `--run` and `--set` say."""

    def __init__(self, path: Path, changes: list[str] | None, run: Path | None, out: Output):
        self.config, self.file = load(path, changes)
        self.out = out
        self.run = RunFolder(run or Path(self.config.run.folder or f"runs/{path.stem}"))
        bad_rows = self.config.data.bad_rows
        self.bad_rows = BadRows(bad_rows.policy, bad_rows.limit)
        self.tasks: list[rk.Task] = [task.make() for task in self.config.tasks]
        # Batches of rows that are scored, not trained on.
        self.scoring_batch = max(self.config.training.batch_size, 4096)

    @functools.cached_property
    def features(self) -> rk.FeatureSet:
        """The features, which have learned nothing yet."""
        return rk.FeatureSet([item.make() for item in self.config.features], name="features")

    @functools.cached_property
    def parts(self) -> dict[str, Files]:
        """The files of all parts: what the test rows lack is found before training."""
        return {part: self.files(part) for part in PARTS if self.config.data.has(part)}

    @property
    def export_path(self) -> Path:
        """Base path of the exports."""
        path = self.config.export.path
        return Path(path) if path else self.run.export

    def files(
        self, part: str, features: rk.FeatureSet | None = None, extra: Sequence[str] = ()
    ) -> Files:
        """The files of a part, for a trained model's features or those of the configuration."""
        data = self.config.data
        if part not in PARTS:
            raise RunError(f"There is no part {part!r}. {nearest(part, PARTS)}")
        if not data.has(part):
            raise RunError(
                f"The configuration names no rows for {part!r}. Give `data.{part}`, or "
                f"`data.split.{part}` beside `data.path`."
            )
        try:
            return self._files(
                getattr(data, part) if data.path is None else data.path,
                features or self.features,
                extra,
                data.format,
                tasks=self.tasks,
                weight=data.weight,
                where=[] if data.split is None else [_rows_of(data.split, part)],
            )
        except DataError as error:
            raise self._at_its_line(error) from error

    @property
    def group_columns(self) -> list[str]:
        """Columns within whose values metrics are computed."""
        training = self.config.training
        names = (training.gauc_by, training.calibration_by)
        return list(dict.fromkeys(name for name in names if name is not None))

    def inputs(
        self, paths: Sequence[str], features: rk.FeatureSet, extra: Sequence[str], **rest: Any
    ) -> Files:
        """Files that are given beside the configuration, without labels unless `rest` has tasks."""
        known = all(guess_format(path) for path in resolve_paths(paths))
        kind = None if known else self.config.data.format
        return self._files(paths, features, extra, kind, **rest)

    def _files(self, paths: Any, features: Any, extra: Any, kind: str | None, **rest: Any) -> Files:
        csv = self.config.data.csv.make()
        return Files(
            paths, features, format=kind, csv=csv, bad_rows=self.bad_rows, extra=extra, **rest
        )

    def sample(self, features: rk.FeatureSet, rows: int) -> Any:
        """A dataset of one batch: the first rows for validation, or else for training."""
        part = "validation" if self.config.data.has("validation") else "train"
        return self.files(part, features).dataset(rows).take(1)

    def _at_its_line(self, error: DataError) -> Exception:
        """The error of a column that is missing, with the line that names it."""
        if not error.reason.startswith("There is no column"):
            return error
        name = error.reason.split("'")[1]
        data = self.config.data
        places: list[tuple[Any, Any]] = [(data.weight, ("data", "weight"))]
        if data.split is not None:
            places += [
                (key, ("data", "split"))
                for key in (data.split.column, data.split.time, data.split.by)
            ]
        places += [
            (column, ("tasks", n))
            for n, task in enumerate(self.tasks)
            for column in (task.label, task.keep_rate)
        ]
        places += [(item.name, ("features", n)) for n, item in enumerate(self.config.features)]
        at = next((place for column, place in places if column == name), None)
        return error if at is None else ConfigError([self.file.problem(at, str(error))])

    def build_model(self) -> Any:
        """The model, on adapted features; what it refuses is a problem of the configuration."""
        try:
            return self.config.model.make(self.features, self.tasks)
        except (ValueError, TypeError) as error:
            message = " ".join(str(error).split())
            raise ConfigError([self.file.problem(("model",), message)]) from error

    def compile(self, model: Any, leave_out: Sequence[str] = ()) -> None:
        """Compiles with the configuration's optimizer and its metrics, save some."""
        training = self.config.training
        names = [name for name in training.metrics if name not in leave_out]
        metrics = [
            rk.metrics.GAUC(str(training.gauc_by)) if name == "gauc" else name for name in names
        ]
        if isinstance(training.optimizer, SplitOptimizer):
            optimizer = rk.optimizers.Split(**training.optimizer.model_dump())
        else:
            optimizer = keras.optimizers.get(training.optimizer)
        if training.learning_rate is not None:
            optimizer.learning_rate = training.learning_rate
        model.compile(optimizer=optimizer, metrics=metrics)


def _bound(value: Any) -> Any:
    """An end of a range, with dates as text."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _rows_of(split: Split, part: str) -> RowFilter:
    """The rows of a part: by the values of a column, a range of time, or a share at random."""
    if split.time is not None:
        return Between(split.time, *map(_bound, getattr(split, part)))
    if split.column is not None:
        return OneOf(split.column, tuple(getattr(split, part)))
    begin = sum(float(getattr(split, name) or 0) for name in PARTS[: PARTS.index(part)])
    end = min(1.0, begin + float(getattr(split, part)))
    return Share(begin, end, split.seed, split.by)
