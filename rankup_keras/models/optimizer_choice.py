"""The optimizer of a model with tables: the default, and what is told of others."""

import warnings
from typing import Any

import keras

from rankup_keras.compat.optimizers import without_loss_scaling
from rankup_keras.optimizers import Adam, Split
from rankup_keras.optimizers.split import DENSE, EMBEDDINGS

# From here on a dense pass shows beside the rest of a training step.
LARGE_TABLES = 100_000


def tables(model: keras.Model) -> list[Any]:
    """The trainable variables of a model that hold tables."""
    return [v for v in model.trainable_variables if getattr(v, "row_sparse", False)]


def default_optimizer(model: keras.Model) -> Any:
    """Adam whose step costs what the batch's rows cost: `LazyAdam` for tables, `Adam` for the rest.

    Tables on a TPU are trained by the TPU, so that `Adam` is left.
    """
    return Split("lazy_adam", "adam") if tables(model) else Adam()


def check_optimizer(optimizer: Any, model: keras.Model) -> None:
    """Refuses the name of an optimizer for tables alone, and a model of half precision.

    Keras does not know the former. In the latter sums of losses and metrics would stop at a few
    hundred rows, updates below a weight's rounding would be lost, and in float16 Adam's epsilon is
    0, so that weights become NaN.
    """
    kinds = {keras.backend.standardize_dtype(v.dtype) for v in model.trainable_variables}
    for given, half in (("set_floatx", {keras.config.floatx()}), ("dtype", kinds)):
        if half := half & {"float16", "bfloat16"}:
            raise ValueError(
                f"A model is trained with weights and metrics of float32 or float64. Received: "
                f"{given}({half.pop()!r}). `dtype='mixed_bfloat16'` of the model, or "
                "`keras.config.set_dtype_policy('mixed_bfloat16')`, computes in half precision and "
                "keeps these in float32."
            )
    own = {"split", *EMBEDDINGS} - set(DENSE)
    if isinstance(optimizer, str) and optimizer in own:
        tables = "lazy_adam" if optimizer == "split" else optimizer
        raise ValueError(
            "`optimizer` must be an optimizer or a name of Keras's. "
            f"`rankup_keras.optimizers.Split({tables!r}, 'adam')` trains tables by the former and "
            f"the rest by the latter. Received: optimizer={optimizer!r}."
        )


def warn_of_dense_passes(model: keras.Model) -> None:
    """Warns where the optimizer passes over all rows of large tables at every step.

    Large are 100,000 rows and more in all tables together.
    """
    optimizer = without_loss_scaling(model.optimizer)
    # Keras's plain SGD subtracts named rows as they are.
    plain = isinstance(optimizer, keras.optimizers.SGD) and not (
        optimizer.momentum or optimizer.weight_decay or optimizer.use_ema
    )
    found = tables(model)
    rows = sum(int(variable.shape[0]) for variable in found)
    if rows < LARGE_TABLES or plain or getattr(optimizer, "row_sparse_updates", False):
        return
    size = sum(4 * int(variable.shape[0]) * int(variable.shape[1]) for variable in found)
    warnings.warn(
        f"`optimizer` {type(optimizer).__name__} passes over all {rows:,} rows of the embedding "
        f"tables ({size / 1e6:,.0f} MB, and as much for each of its slots) at every step, whatever "
        "the batch holds. `rankup_keras.optimizers.Split` updates the rows of the batch only: "
        "`model.compile()` uses it.",
        stacklevel=3,
    )
