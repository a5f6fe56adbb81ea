"""What a configuration may hold, as types."""

import datetime as dt
import operator
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union

import pydantic
from pydantic import Field

import rankup_keras as rk
from rankup_keras.cli import signatures

# The context of a validation that calls no constructor.
SCHEMA = "schema"
PARTS = ("train", "validation", "test")
Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Allowed = Annotated[float, Field(ge=0)]
PathList = str | list[str]
# Values of a column, or the two ends of a range of time.
Values = list[str | int | float | dt.datetime | dt.date | None]
Device = Literal["cpu", "gpu"]
MetricName = Literal["auc", "log_loss", "ne", "calibration", "gauc"]


class Section(pydantic.BaseModel):
    """A part of a configuration; unknown keys are refused."""

    model_config = pydantic.ConfigDict(
        extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=()
    )


class Arguments(Section):
    """The keyword arguments of a class, as its constructor declares and accepts them.

    The constructor needs TensorFlow. Validation with the context `SCHEMA` does without both.
    """

    owner: ClassVar[str]

    @pydantic.model_serializer
    def given(self) -> dict[str, Any]:
        """What is given; all else keeps the defaults of the class."""
        names = (name for name in type(self).model_fields if name in self.model_fields_set)
        return {name: getattr(self, name) for name in names}

    def make(self, *arguments: Any) -> Any:
        """An object of the class."""
        given = self.given()
        given.pop("type", None)
        preset = given.pop("preset", None)
        if preset:
            return rk.from_preset(preset, *arguments, **given)
        return operator.attrgetter(self.owner)(rk)(*arguments, **given)

    @pydantic.model_validator(mode="after")
    def accepted(self, info: pydantic.ValidationInfo) -> "Arguments":
        """Lets the constructor check what types do not say."""
        if info.context != SCHEMA:
            self.make()
        return self


class ModelArguments(Arguments):
    """The keyword arguments of a model, which can only be built on features that have learned."""

    preset: str | None = None

    @pydantic.model_validator(mode="after")
    def accepted(self, info: pydantic.ValidationInfo) -> "ModelArguments":
        """Checks what is beside the model's own arguments."""
        if {"type", "preset"} <= self.model_fields_set:
            raise ValueError("Give `type` or `preset`, not both.")
        return self


def _arguments(name: str, owner: str, base: type[Arguments] = Arguments, **fields: Any) -> Any:
    """The arguments of a class as a section, those left out that a configuration cannot hold."""
    found = signatures.arguments_of(owner)
    fields |= {key: item for key, item in found.items() if key not in ("features", "tasks")}
    made = pydantic.create_model(name, __base__=base, **fields)
    made.owner = owner
    return made


def _one_of(
    classes: Mapping[str, str], base: type[Arguments] = Arguments, default: str = ""
) -> Any:
    """Sections of the arguments of one class among some, which `type` or `preset` names."""

    def name(value: Any) -> str:
        get = value.get if isinstance(value, dict) else lambda key: getattr(value, key, None)
        return str(get("preset") or get("type") or default)

    options = [
        Annotated[_arguments(key, owner, base, type=(str, default)), pydantic.Tag(key)]
        for key, owner in classes.items()
    ]
    return Annotated[Union[tuple(options)], pydantic.Discriminator(name)]  # noqa: UP007


def _written_task(task: Any) -> Any:
    """A task written as its name alone, or with `label: {column: ..., positive: ...}`."""
    if isinstance(task, str):
        return {"name": task}
    label = task.get("label") if isinstance(task, dict) else None
    if isinstance(label, dict) and "column" in label and label.keys() <= {"column", "positive"}:
        rest = {key: value for key, value in task.items() if key != "label"}
        return {**rest, "label": label["column"], "positive": label.get("positive")}
    return task


FEATURES = ("Categorical", "Numeric", "History", "Events", "Timestamp", "Pretrained")
MODELS = ("RankUp", "RankMixer", "RankElastor", "MixFormer", "HyFormer", "DLRM", "DCNv2")

if TYPE_CHECKING:
    from typing import Any as Csv
    from typing import Any as Feature
    from typing import Any as Model
    from typing import Any as Task
else:
    Feature = _one_of({name.lower(): name for name in FEATURES})
    Model = _one_of({n: n for n in MODELS} | signatures.presets(), ModelArguments, "RankUp")
    Csv = _arguments("Csv", "data.CsvOptions")
    Task = Annotated[
        _arguments("Task", "Task"),
        pydantic.BeforeValidator(_written_task),
    ]


class BadRowsPolicy(Section):
    """What happens to malformed rows; see `rankup_keras.data.BadRows`."""

    policy: Literal["error", "skip"] = "error"
    limit: NotNegative = 1000


class Split(Section):
    """Parts of `data.path`: by a column's values, by ranges of time, or at random in shares."""

    column: str | None = None
    time: str | None = None
    train: Values | Annotated[float, Field(gt=0, le=1)]
    validation: Values | Annotated[float, Field(ge=0, lt=1)] | None = None
    test: Values | Annotated[float, Field(ge=0, lt=1)] | None = None
    seed: NotNegative = 0
    by: str | None = None


class Data(Section):
    """Where rows come from."""

    path: PathList | None = None
    split: Split | None = None
    train: PathList | None = None
    validation: PathList | None = None
    test: PathList | None = None
    format: Literal["parquet", "csv", "tsv", "tfrecord"] | None = None
    csv: Csv = Field(default_factory=dict, validate_default=True)
    weight: str | None = None
    bad_rows: BadRowsPolicy = BadRowsPolicy()
    shuffle_rows: Positive = 131_072
    cache: str | None = "runs/cache"

    def has(self, part: str) -> bool:
        """Whether there are rows for a part."""
        if self.path is None:
            return getattr(self, part) is not None
        if self.split is None:
            return part == "train"
        return getattr(self.split, part) is not None


class SplitOptimizer(Section):
    """`rankup_keras.optimizers.Split`: one optimizer for tables, one for dense weights."""

    embeddings: Literal["adagrad", "row_wise_adagrad", "ftrl", "sgd", "lazy_adam"] = "lazy_adam"
    dense: Literal["adam", "adagrad", "sgd", "ftrl"] = "adam"


class EarlyStopping(Section):
    """Stops when a metric no longer improves, and keeps the best weights.

    It waits for `patience` epochs, and at least for so many that hold `patience_steps` steps.
    """

    monitor: str
    mode: Literal["min", "max"]
    patience: NotNegative = 2
    patience_steps: NotNegative = 300


class Training(Section):
    """How the model is trained."""

    batch_size: Positive = 1024
    epochs: Positive = 1
    seed: NotNegative = 0
    optimizer: Literal["adam", "adagrad", "sgd", "ftrl"] | SplitOptimizer = SplitOptimizer()
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    metrics: list[MetricName] = ["auc", "log_loss", "ne", "calibration"]
    gauc_by: str | None = None
    calibration_by: str | None = None
    early_stopping: EarlyStopping | None = None
    fresh_tables: Literal["when_worse", "always"] | None = None
    checkpoint_every: Positive | None = None
    rank_log: bool = True
    rank_rows: Positive = 512


class Export(Section):
    """Where the export goes, what it is checked and warmed up with, and what its servers have."""

    path: str | None = None
    warmup_rows: Positive = 1000
    batch_sizes: list[Positive] = [1, 10, 100]
    signatures: list[str] | None = None
    device: Device = "cpu"


class Gate(Section):
    """By how much a new version may be worse than the one served; null: not looked at."""

    auc: Allowed | None = 0.005
    ne: Allowed | None = 0.01
    calibration: Allowed | None = 0.05
    effective_rank: Allowed | None = 0.2
    latency: Annotated[float, Field(gt=0)] | None = 1.5


class Update(Section):
    """How `update` goes on with a day's rows; up to `new_rows` as in `rk.models.next_day`."""

    min_count: Annotated[float, Field(gt=0)] = 1
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    evict_after: Positive | None = None
    evict_below: Allowed = 0.0
    moments_window: Annotated[float, Field(ge=1)] | None = None
    fixed: list[str] = []
    new_rows: Literal["initializer", "unknown"] = "initializer"
    epochs: Positive = 1
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    holdout_by: str | None = None
    calibrate: Literal["platt", "isotonic"] | None = None
    gate: Gate = Gate()


class Run(Section):
    """Where a run leaves what it makes."""

    folder: str | None = None


class Config(Section):
    """A whole configuration."""

    data: Data
    features: Annotated[list[Feature], Field(min_length=1)]
    tasks: Annotated[list[Task], Field(min_length=1)]
    model: Model = Field(default_factory=dict, validate_default=True)
    training: Training = Training()
    export: Export = Export()
    update: Update = Update()
    run: Run = Run()
