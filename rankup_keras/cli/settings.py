"""What a configuration may hold, as types."""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

Positive = Annotated[int, Field(gt=0)]
PathList = str | list[str]
MetricName = Literal["auc", "log_loss", "ne", "calibration", "gauc"]


class Section(pydantic.BaseModel):
    """A part of a configuration; unknown keys are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class Csv(Section):
    """How text files are written; see `rankup_keras.data.CsvOptions`."""

    delimiter: str | None = None
    header: bool = True
    columns: list[str] | None = None
    quote: str | None = "auto"
    multiline: bool = False
    encoding: str = "utf-8"
    list_separator: str = "|"


class BadRowsPolicy(Section):
    """What happens to bad rows; see `rankup_keras.data.BadRows`."""

    policy: Literal["error", "skip"] = "error"
    limit: Annotated[int, Field(ge=0)] = 1000


class Split(Section):
    """Parts of `data.path`: by the values of a column, or by chance in these shares."""

    column: str | None = None
    train: list[str | int] | Annotated[float, Field(gt=0, le=1)]
    validation: list[str | int] | Annotated[float, Field(ge=0, lt=1)] | None = None
    test: list[str | int] | Annotated[float, Field(ge=0, lt=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    by: str | None = None


class Data(Section):
    """Where rows come from."""

    path: PathList | None = None
    split: Split | None = None
    train: PathList | None = None
    validation: PathList | None = None
    test: PathList | None = None
    format: Literal["parquet", "csv", "tsv", "tfrecord"] | None = None
    csv: Csv = Csv()
    weight: str | None = None
    bad_rows: BadRowsPolicy = BadRowsPolicy()
    shuffle_rows: Positive = 131_072
    cache: str | None = "runs/cache"


class SplitOptimizer(Section):
    """`rankup_keras.optimizers.Split`: one optimizer for tables, one for dense weights."""

    embeddings: Literal["adagrad", "row_wise_adagrad", "ftrl", "sgd", "lazy_adam"] = "adagrad"
    dense: Literal["adam", "adagrad", "sgd", "ftrl"] = "adam"


class EarlyStopping(Section):
    """Stops when a metric no longer improves, and keeps the best weights."""

    monitor: str
    mode: Literal["min", "max"]
    patience: Annotated[int, Field(ge=0)] = 2


class Training(Section):
    """How the model is trained."""

    batch_size: Positive = 1024
    epochs: Positive = 1
    seed: Annotated[int, Field(ge=0)] = 0
    optimizer: Literal["adam", "adagrad", "sgd", "ftrl"] | SplitOptimizer = SplitOptimizer()
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    metrics: list[MetricName] = ["auc", "log_loss", "ne", "calibration"]
    gauc_by: str | None = None
    early_stopping: EarlyStopping | None = None
    checkpoint_every: Positive | None = None
    rank_log: bool = True
    rank_rows: Positive = 512


class Export(Section):
    """Where the export goes, and what it is checked and warmed up with."""

    path: str | None = None
    warmup_rows: Positive = 1000
    batch_sizes: list[Positive] = [1, 10, 100]
    signatures: list[str] | None = None


class Run(Section):
    """Where a run leaves what it makes."""

    folder: str | None = None


class TaskSettings(Section):
    """A task; see `rankup_keras.Task`."""

    name: str
    weight: Annotated[float, Field(gt=0)] = 1.0
    label: str | None = None


class Config(Section):
    """A whole configuration. Features and model are checked against their own classes."""

    data: Data
    features: Annotated[list[dict[str, Any]], Field(min_length=1)]
    tasks: Annotated[list[str | TaskSettings], Field(min_length=1)]
    model: dict[str, Any] = {}
    training: Training = Training()
    export: Export = Export()
    run: Run = Run()
