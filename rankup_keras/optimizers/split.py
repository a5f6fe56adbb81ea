"""One optimizer for the user: one part for embedding tables, one for the dense weights."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from rankup_keras._registry import serializable
from rankup_keras.compat.optimizers import (
    known_gradients,
    variable_index,
    without_loss_scaling,
)
from rankup_keras.optimizers.adagrad import Adagrad
from rankup_keras.optimizers.adam import Adam
from rankup_keras.optimizers.ftrl import Ftrl
from rankup_keras.optimizers.lazy_adam import LazyAdam
from rankup_keras.optimizers.row_sparse import RowSparse, clip_gradients, scale_gradient
from rankup_keras.optimizers.row_wise_adagrad import RowWiseAdagrad
from rankup_keras.optimizers.sgd import SGD

EMBEDDINGS: dict[str, type] = {
    "sgd": SGD,
    "adagrad": Adagrad,
    "row_wise_adagrad": RowWiseAdagrad,
    "ftrl": Ftrl,
    "lazy_adam": LazyAdam,
}
DENSE: dict[str, type] = {"adam": Adam, "adagrad": Adagrad, "sgd": SGD, "ftrl": Ftrl}
ROW_SPARSE_FORMS: dict[type, Any] = {
    keras.optimizers.SGD: SGD,
    keras.optimizers.Adagrad: Adagrad,
    keras.optimizers.Ftrl: Ftrl,
}


def _embeddings_optimizer(given: Any) -> Any:
    if isinstance(given, str):
        if given not in EMBEDDINGS:
            raise ValueError(
                f"`embeddings` must be one of {sorted(EMBEDDINGS)} or an optimizer. "
                f"Received: '{given}'."
            )
        return EMBEDDINGS[given]()
    form = ROW_SPARSE_FORMS.get(type(given))
    if form is not None:
        return form.from_config(given.get_config())
    if not isinstance(given, RowSparse):
        raise ValueError(
            f"`embeddings` must have a row-sparse form: one of {sorted(EMBEDDINGS)}. "
            f"Received: {type(given).__name__}, which would pass over every row at every step."
        )
    return given


def _dense_optimizer(given: Any) -> Any:
    if isinstance(given, str) and given.lower() in DENSE:
        return DENSE[given.lower()]()
    return keras.optimizers.get(given)


@serializable
class Split(keras.optimizers.Optimizer):
    """Trains embedding tables with one optimizer and all other weights with another.

    Ranking models want Adagrad or its kin for their tables, and Adam for the
    rest; and a table's optimizer must touch the batch's rows only. To Keras
    this is one optimizer: it goes into `compile`, follows learning-rate
    schedules and callbacks, clips, is saved in `.keras` files with its slots,
    and resumes.

    Args:
        embeddings: `"adagrad"`, `"row_wise_adagrad"`, `"ftrl"`, `"sgd"`,
            `"lazy_adam"`, one of these classes' instances, or Keras's own SGD,
            Adagrad or Ftrl, which is replaced by its row-sparse form. Defaults
            to `"adagrad"`.
        dense: any Keras optimizer or its name; `"adam"` means the fused
            `rankup_keras.optimizers.Adam`. Defaults to `"adam"`.
        row_sparse: which variables `embeddings` trains, beside those of
            `FieldEmbedding`: a list of parts of variable paths, or a
            serializable function of a variable. Defaults to none.
        clipnorm: clips every variable's gradient to this norm; the tables that a
            `FieldEmbedding` keeps in one variable count together.
        clipvalue: clips every value of a gradient.
        global_clipnorm: clips the norm of all gradients taken together, tables
            included. At most one of the three.
        name: name of the optimizer.

    **Moving averages.** `dense=keras.optimizers.Adam(use_ema=True)` averages the dense weights, not
    the tables, and the model ends `fit` with the averages. With
    `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)` it is validated and saved with them too.

    **Learning rates.** `learning_rate` is the dense part's. The tables' rate follows it in the
    ratio of the two rates given here, however it is changed: by `learning_rate = value`,
    `learning_rate.assign(value)`, and the callbacks that do either. Setting
    `embeddings.learning_rate` changes the ratio. Where a part has a schedule,
    or the dense part's rate is 0, each part follows its own.

    Raises:
        ValueError: when `embeddings` has no row-sparse form.

    Example:

    ```python
    import keras
    import rankup_keras as rk

    rows = {"ad": ["a", "b", "a", "c"], "click": [1, 0, 1, 0]}
    features = rk.FeatureSet([rk.Categorical("ad")]).adapt(rows)
    model = rk.RankMixer(features, ["click"], num_blocks=1, embedding_dim=4)
    optimizer = rk.optimizers.Split(
        embeddings=rk.optimizers.Adagrad(0.05),
        dense=keras.optimizers.RMSprop(1e-3),
        global_clipnorm=10.0,
    )
    model.compile(optimizer=optimizer)
    model.fit(rows, verbose=0)
    optimizer.learning_rate.assign(1e-4)
    print(float(optimizer.embeddings.learning_rate))  # 0.005
    ```

    References:
        - RankMixer, arXiv 2507.15551 (RMSProp for the dense part, Adagrad for the sparse).
    """

    row_sparse_updates = True

    def __init__(
        self,
        embeddings: Any = "adagrad",
        dense: Any = "adam",
        row_sparse: Sequence[str] | Callable[[Any], bool] | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "split",
        loss_scale_factor: float | None = None,
    ) -> None:
        embeddings = _embeddings_optimizer(embeddings)
        dense = _dense_optimizer(dense)
        super().__init__(
            learning_rate=lambda: dense.learning_rate,
            clipnorm=clipnorm,
            clipvalue=clipvalue,
            global_clipnorm=global_clipnorm,
            loss_scale_factor=loss_scale_factor,
            name=name,
        )
        self.embeddings = embeddings
        self.dense = dense
        self.row_sparse = row_sparse
        self.follow_dense_rate()

    def follow_dense_rate(self, first_dense_rate: float | None = None) -> None:
        """Makes the tables' rate follow the dense part's, which was this at first."""
        self.embeddings.rate_factor = self._first_dense_rate = None
        rates = [part.learning_rate for part in (self.embeddings, self.dense)]
        if first_dense_rate is None and not all(isinstance(r, keras.Variable) for r in rates):
            return
        dense = self.dense
        # Under a strategy the rate is several variables, which `float` does not take.
        first = first_dense_rate or float(keras.ops.convert_to_numpy(rates[1]))
        if first:
            self._first_dense_rate = first
            # Not `/`, which TensorFlow folds into other factors, on each replica in its own way.
            self.embeddings.rate_factor = lambda: keras.ops.divide_no_nan(
                dense.learning_rate, first
            )

    def is_row_sparse(self, variable: Any) -> bool:
        """Whether `embeddings` trains the variable."""
        if getattr(variable, "row_sparse", False):
            return True
        if self.row_sparse is None:
            return False
        if callable(self.row_sparse):
            return bool(self.row_sparse(variable))
        path = getattr(variable, "path", variable.name)
        return any(part in path for part in self.row_sparse)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        own_variables = list(variables)
        # In a closure, or Keras would track the model's weights as the optimizer's and save them.
        self._trains = lambda: own_variables
        self._tables = [self.is_row_sparse(variable) for variable in variables]
        for part, wanted in ((self.embeddings, True), (self.dense, False)):
            own = [v for v, table in zip(variables, self._tables, strict=True) if table is wanted]
            if own:
                with keras.name_scope(part.name, caller=part):
                    part.build(own)

    @property
    def inner_optimizer(self):
        """The dense part, whose moving averages `keras.callbacks.SwapEMAWeights` evaluates."""
        return self.dense

    @property
    def variables(self):
        return [*super().variables, *self.embeddings.variables, *self.dense.variables]

    def save_own_variables(self, store):
        # The parts save their own.
        for index, variable in enumerate(super().variables):
            store[str(index)] = variable

    def load_own_variables(self, store):
        # Files of version 0.1 repeat weights and slots behind these.
        for index, variable in enumerate(super().variables):
            variable.assign(store[str(index)])

    @property
    def learning_rate(self):
        return self.dense.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        if self._first_dense_rate is None:
            raise TypeError(
                "A learning rate can be set only where both optimizers have a plain number, the "
                "dense part's above 0; otherwise set that of `embeddings` or `dense`. A schedule "
                f"is followed. Received: learning_rate={value}."
            )
        self.dense.learning_rate = value

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        # Tables have none.
        self.dense.exclude_from_weight_decay(var_list, var_names)

    def apply(self, grads, trainable_variables=None):
        grads = list(grads)
        if trainable_variables is None:
            trainable_variables = self._trains()
        variables = list(trainable_variables)
        if not grads:
            return
        if not self.built:
            with keras.name_scope(self.name, caller=self):
                self.build(variables)
        self._apply_parts(grads, variables, (self.embeddings, self.dense))
        self._count_step()

    def apply_dense(self, grads, variables):
        """The first half of a step of two: dense weights alone, as within a compiled function.

        `global_clipnorm` counts the gradients that it is given.
        """
        self._apply_parts(grads, variables, (self.dense,))

    def apply_embeddings(self, grads, variables):
        """The second half of a step of two: tables alone; none where none is trained."""
        if grads:
            self._apply_parts(grads, variables, (self.embeddings,))
        self._count_step()

    def _apply_parts(self, grads, variables, parts):
        grads, variables = known_gradients(self, list(grads), variables)
        if self.loss_scale_factor is not None:
            grads = [scale_gradient(g, 1.0 / self.loss_scale_factor) for g in grads]
        grads = clip_gradients(grads, self)
        for part in parts:
            pairs = [
                (g, v)
                for g, v in zip(grads, variables, strict=True)
                if self._is_table(v) is (part is self.embeddings)
            ]
            if pairs:
                part.apply_gradients(pairs)

    def _count_step(self):
        if not any(self._tables):
            # Where a TPU trains the tables by itself, their schedule goes on.
            self.embeddings.iterations.assign_add(1)
        self.iterations.assign_add(1)

    def _is_table(self, variable: Any) -> bool:
        return self._tables[variable_index(self, variable)]

    def finalize_variable_values(self, var_list):
        for part, wanted in ((self.embeddings, True), (self.dense, False)):
            own = [v for v in var_list if self._is_table(v) is wanted]
            if own:
                part.finalize_variable_values(own)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Split":
        first = config.get("first_dense_rate")
        split = cls(
            **{
                key: keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)
                if isinstance(value, dict)
                else value
                for key, value in config.items()
                if key != "first_dense_rate"
            }
        )
        split.follow_dense_rate(first)
        return split

    def get_config(self) -> dict[str, Any]:
        row_sparse: Any = self.row_sparse
        if callable(row_sparse):
            row_sparse = keras.saving.serialize_keras_object(row_sparse)
        elif row_sparse is not None:
            row_sparse = list(row_sparse)
        return {
            "name": self.name,
            "embeddings": keras.saving.serialize_keras_object(self.embeddings),
            "dense": keras.saving.serialize_keras_object(self.dense),
            "row_sparse": row_sparse,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
            "loss_scale_factor": self.loss_scale_factor,
            "first_dense_rate": self._first_dense_rate,
        }


def part_of(optimizer: Any, variable: Any) -> Any:
    """The optimizer that keeps a variable's slots: a `Split`'s part, the one that is wrapped."""
    optimizer = without_loss_scaling(optimizer)
    if not isinstance(optimizer, Split):
        return optimizer
    return optimizer.embeddings if optimizer.is_row_sparse(variable) else optimizer.dense
