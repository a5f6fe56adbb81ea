"""The optimizers of tables that a TPU trains."""

from collections.abc import Mapping
from typing import Any

import keras

from rankup_keras.compat.optimizers import without_loss_scaling

TPU_OPTIMIZERS = (
    keras.optimizers.SGD,
    keras.optimizers.Adagrad,
    keras.optimizers.Adam,
    keras.optimizers.Ftrl,
)
NAMES = ("sgd", "adagrad", "adam", "ftrl")
# Options by which a `Split` changes the gradients of both parts; they do not reach a TPU's tables.
OUT_OF_REACH = ("clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor")


def tpu_optimizer(optimizer: Any, table: str) -> Any:
    """The optimizer for one table, of those that the TPU has.

    Of a `Split`, the part for the tables counts. The TPU's Adam is lazy, like `LazyAdam`.

    Args:
        optimizer: for all tables, or a dict from a table's name to its own.
        table: the table's name.
    """
    if isinstance(optimizer, Mapping):
        if table not in optimizer:
            raise ValueError(
                f"`optimizer` has no entry for table '{table}', only {sorted(optimizer)[:20]}."
            )
        optimizer = optimizer[table]
    if hasattr(optimizer, "embeddings"):
        given = {
            name: getattr(optimizer, name) for name in OUT_OF_REACH if getattr(optimizer, name)
        }
        if given:
            raise ValueError(
                "A TPU trains its tables by itself, where a model's optimizer cannot clip or scale "
                f"their gradients. Received: {given} in the optimizer '{optimizer.name}'."
            )
        optimizer = optimizer.embeddings
    if optimizer not in NAMES and not isinstance(optimizer, TPU_OPTIMIZERS):
        what = repr(optimizer) if isinstance(optimizer, str) else type(optimizer).__name__
        raise ValueError(
            f"Table '{table}' cannot be trained by {what} on a TPU, whose embedding hardware has "
            "SGD, Adagrad, Adam (lazy) and Ftrl."
        )
    return optimizer


class WithCurrentRate:
    """Makes optimizers for the TPU's configuration whose rates are read at every step.

    keras-rs takes an optimizer's number as it is when the tables are made, so a
    callback that changes it later would not reach them; and for every table with
    a schedule it makes a function of its own, so that TensorFlow takes their
    optimizers for different ones and stacks none of these tables. Here all
    tables of one optimizer have one function, which reads the optimizer's rate.
    """

    def __init__(self) -> None:
        self._made: dict[int, tuple[Any, Any]] = {}

    def __call__(self, optimizer: Any) -> Any:
        """What to give to keras-rs for an optimizer."""
        if isinstance(optimizer, str):
            return optimizer
        if id(optimizer) not in self._made:

            def rate() -> Any:
                return keras.ops.convert_to_tensor(optimizer.learning_rate)

            config = {**optimizer.get_config(), "learning_rate": rate}
            self._made[id(optimizer)] = (optimizer, type(optimizer).from_config(config))
        return self._made[id(optimizer)][1]


def serialized(optimizer: Any) -> Any:
    """The config of an optimizer, or of the optimizers of a dict."""
    if isinstance(optimizer, Mapping):
        return {table: serialized(own) for table, own in optimizer.items()}
    return keras.saving.serialize_keras_object(optimizer)


def deserialized(config: Any) -> Any:
    """What `serialized` was given; optimizers stay as they are."""
    if not isinstance(config, Mapping):
        return config
    if "class_name" in config:
        return keras.saving.deserialize_keras_object(config)
    return {table: deserialized(own) for table, own in config.items()}


def check_compiled(own: Any, compiled: Any) -> None:
    """Refuses a `Split` whose part for the tables is not what the TPU trains them with.

    Args:
        own: the optimizer that the tables were made with.
        compiled: the optimizer of the model's `compile`.

    Raises:
        ValueError: the two differ.
    """
    compiled = without_loss_scaling(compiled)
    if not hasattr(compiled, "embeddings"):
        return
    own, wanted = getattr(own, "embeddings", own), _described(compiled.embeddings)
    if own is not compiled.embeddings and _described(own) != wanted:
        raise ValueError(
            "The TPU trains the tables with the `optimizer` that `TPUTables` had while the model "
            f"was built, {_described(own)}; `compile` wants {wanted} for them. Give both the same "
            "Split."
        )


def _described(optimizer: Any) -> str:
    if isinstance(optimizer, Mapping):
        return "one for each table"
    optimizer = keras.optimizers.get(optimizer)
    kinds = [kind for kind in TPU_OPTIMIZERS if isinstance(optimizer, kind)] or [type(optimizer)]
    return f"{kinds[0].__name__} with { {**optimizer.get_config(), 'name': None} }"
