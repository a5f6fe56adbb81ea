"""What lies behind a model's tables, compiled by XLA inside of a step that is not."""

import contextvars
import re
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat import trainer
from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.compat.xla import RefusedByXLAError, lowered
from rankup_keras.kernels.program import host_variable, made_for, read_on_host
from rankup_keras.layers.mixers import PerTokenTopKMoE
from rankup_keras.models.deferred_updates import DeferredUpdates
from rankup_keras.models.dense_part import dense_part, inputs_of
from rankup_keras.models.missing_labels import known_shares
from rankup_keras.models.step_devices import (
    devices_of_step,
    has_strategy,
    one_replica,
)
from rankup_keras.optimizers import Split

# Rows of the batch on which XLA is asked whether it takes a function.
PROBE_ROWS = 8
# A plain graph of a stack takes this many times as long as the compiled one (docs/performance.md).
PLAIN_GRAPH = 3


class CompiledRegion:
    """The steps of a model, with all between the lookup and the loss as one XLA program.

    One compiled function holds the layers behind the tables, the loss, the gradients of weights and
    of looked-up vectors and, on one replica, metrics and the update of dense weights. Lookup, the
    check of ids and the update of rows stay outside: they have no XLA form, or a slow one.

    XLA compiles for every size of a batch anew. So it gets full batches alone: of the size that
    `expect` was told, or the largest one met so far; others, such as the last of an epoch, run as a
    plain graph.

    Args:
        model: a compiled `RankingModel`.
        metrics: whether XLA takes its metrics too, if it can.
        compiled: whether anything is compiled. Without, the training step is the same as a plain
            graph, for what is deferred.
    """

    whole_batches = True

    def __init__(self, model: keras.Model, metrics: bool = True, compiled: bool = True) -> None:
        self.model, self.scoring, self.compiled = model, dense_part(model), compiled
        # A call for training may have more outputs, for auxiliary losses.
        outputs = model.training_outputs()
        self.part = self.scoring if outputs is None else dense_part(model, outputs)
        tables = [model.get_layer(name) for name in self.part.tables]
        looked_up = [tensor for layer in tables for tensor in keras.tree.flatten(layer.output)]
        self.lookup = keras.Model(model.input, looked_up) if tables else None
        # Replicas count some together, for which they would have to meet within the function.
        self.metrics_inside = metrics and model.distribute_strategy.num_replicas_in_sync == 1
        self._replicated = has_strategy(model)
        defers = self._replicated and self.whole_batches
        self.deferred = DeferredUpdates(self.part.network if defers else None)
        self._accepted: dict[str, bool] = {}
        self._rows = {key: host_variable(0) for key in ("train", "test")}
        self._compiled = {
            key: tf.function(function, jit_compile=True, autograph=False)
            for key, function in (("train", self._train), ("test", self._scores))
        }

    def expect(self, key: str, rows: int | None) -> None:
        """Tells how many rows a full batch of a replica has; `None`: the largest that comes.

        Args:
            key: `"train"` or `"test"`.
            rows: the size.
        """
        self._rows[key].assign(rows or 0)

    def full_batch(self, key: str) -> int:
        """The size of the batches that are compiled where batches are not all of one size."""
        return int(self._rows[key].numpy())

    def takes_training(self, data: Any) -> bool:
        """Whether the training step is this one; where XLA refuses it, a warning has said why."""
        if "train" not in self._accepted:
            with tf.init_scope():
                trainer.build_metrics(self.model, data)
            self._accepted["train"] = self.compiled and self._compiles_training(data)
        # Where replicas would otherwise wait for one another within a call or the loss.
        return self._accepted["train"] or bool(self.deferred or self.model.shared_labels())

    def _compiles_training(self, data: Any) -> bool:
        shares = dict.fromkeys(self.model.shared_labels(), tf.TensorSpec(()))
        batch = keras.utils.unpack_x_y_sample_weight(data)
        arguments = [self._vectors(), [], *batch, shares]
        refusal = self._refusal(self._train, arguments)
        if refusal and self.metrics_inside:
            self.metrics_inside = False
            refusal = self._refusal(self._train, arguments)
        return self._said(refusal)

    def takes_scoring(self, x: Any) -> bool:
        """Whether XLA takes the layers as they score; if not, a warning has said why."""
        if not self.compiled:
            return False
        if "test" not in self._accepted:
            refusal = self._refusal(self._scores, [self._vectors(), x])
            # Where training was refused, the reason is known.
            known = not self._accepted.get("train", True)
            self._accepted["test"] = not refusal if known else self._said(refusal)
        return self._accepted["test"]

    def train_step(self, data: Any) -> Any:
        """`keras.Model.train_step`."""
        optimizer = self.model.optimizer
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            vectors, penalties = self._look_up(x, training=True)
        shares = self.model.shares_of_labels(y)
        arguments = (vectors, penalties, x, y, sample_weight, shares)
        gradients, outer, found = self._trained(arguments)
        looked_up = [
            pair for pair in zip([*vectors, *penalties], outer, strict=True) if pair[1] is not None
        ]
        tables = self._tables()
        gradients += tape.gradient(
            [vector for vector, _ in looked_up], tables, [gradient for _, gradient in looked_up]
        )
        left = [v for v in self._weights() if not self._updates_inside(v)] + tables
        if len(left) == len(self.model.trainable_variables):
            optimizer.apply_gradients(zip(gradients, left, strict=True))
        elif isinstance(optimizer, Split):
            optimizer.apply_embeddings(gradients, left)
        if self.metrics_inside:
            return found
        loss, predicted = found
        return self.logs(loss, x, y, predicted, sample_weight)

    def _trained(self, arguments: tuple[Any, ...]) -> Any:
        """What `_train` returns of a batch, which is its arguments, but for what is deferred."""
        left, outer, moved, found = self._if_full("train", self._train, arguments, arguments[2])
        self.deferred.assign(moved)
        return left, outer, found

    def test_step(self, data: Any) -> Any:
        """`keras.Model.test_step`."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        predicted, losses = self.scores(x)
        loss = trainer.loss_of_step(self.model, losses, x, y, predicted, sample_weight, False)
        return self.logs(loss, x, y, predicted, sample_weight)

    def scores(self, x: Any) -> tuple[Any, list[Any]]:
        """The model's outputs for a batch, and what layers add to the loss."""
        vectors, penalties = self._look_up(x, training=False)
        predicted, losses = self._if_full("test", self._scores, (vectors, x), x)
        return predicted, [*penalties, *losses]

    def logs(self, loss: Any, x: Any, y: Any, predicted: Any, sample_weight: Any) -> Any:
        """Adds a batch to loss and metrics, and returns what a step returns."""
        trainer.track_loss(self.model, loss, tf.shape(self._batch(x))[0])
        return self.model.compute_metrics(x, y, predicted, sample_weight)

    # What is compiled

    def _train(
        self, vectors: Any, penalties: Any, x: Any, y: Any, sample_weight: Any, shares: Any
    ) -> Any:
        """Gradients of weights not yet updated, of what was looked up; `DeferredUpdates`; logs.

        Where metrics are outside, in place of logs the loss and the scores.
        """
        model, weights = self.model, self._weights()
        looked_up = [*vectors, *penalties]

        def forward() -> tuple[Any, list[Any]]:
            predicted = self.part([*vectors, *inputs_of(model, x)], training=True)
            return predicted, list(self.part.network.losses)

        with tf.GradientTape() as tape:
            tape.watch(looked_up)
            (predicted, own), moved = self.deferred.found(forward)
            losses = [*penalties, *own]
            with known_shares(shares):
                loss = trainer.loss_of_step(
                    model, losses, x, y, predicted, sample_weight, True, self.whole_batches
                )
            scaled = model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [*weights, *looked_up])
        dense, outer = gradients[: len(weights)], gradients[len(weights) :]
        pairs = list(zip(dense, weights, strict=True))
        inside = [pair for pair in pairs if self._updates_inside(pair[1])]
        if inside:
            apply = getattr(model.optimizer, "apply_dense", model.optimizer.apply)
            apply([gradient for gradient, _ in inside], [weight for _, weight in inside])
        left = [gradient for gradient, weight in pairs if not self._updates_inside(weight)]
        if self.metrics_inside:
            return left, outer, moved, self.logs(loss, x, y, predicted, sample_weight)
        return left, outer, moved, (loss, predicted)

    def _scores(self, vectors: Any, x: Any) -> Any:
        predicted = self.scoring([*vectors, *inputs_of(self.model, x)], training=False)
        return predicted, list(self.scoring.network.losses)

    def _look_up(self, x: Any, training: bool) -> tuple[list[Any], list[Any]]:
        """Looked-up vectors, and the losses that looking up adds."""
        if self.lookup is None:
            return [], []
        vectors = self.lookup(x, training=training)
        return keras.tree.flatten(vectors), list(self.lookup.losses)

    def _weights(self) -> list[Any]:
        return self.part.network.trainable_variables

    def _tables(self) -> list[Any]:
        known = {id(variable) for variable in self._weights()}
        return [v for v in self.model.trainable_variables if id(v) not in known]

    def _updates_inside(self, weight: Any) -> bool:
        """Whether the compiled function updates a weight; replicas do it together, outside."""
        optimizer = self.model.optimizer
        if self._replicated:
            return False
        if isinstance(optimizer, Split):
            # A norm of all gradients waits for those of the tables.
            return not optimizer.global_clipnorm and not optimizer.is_row_sparse(weight)
        own = not isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        return own and not self._tables()

    # Which batches are compiled, and whether XLA takes a function

    def _batch(self, x: Any) -> Any:
        return inputs_of(self.model, x)[0]

    def _if_full(self, key: str, function: Callable[..., Any], arguments: Any, x: Any) -> Any:
        compiled, batch = self._compiled[key], self._batch(x)
        if not self._accepted[key]:
            return function(*arguments)
        if batch.shape[0] is not None:
            return compiled(*arguments)
        # Where the batch lies, which the host knows the shape of: placed there it would be copied.
        rows = tf.shape(batch)[0]
        with tf.device("/cpu:0"):
            full = tf.maximum(rows, read_on_host(self._rows[key]))
            self._rows[key].assign(full)
            is_full = tf.equal(rows, full)

        def plain() -> Any:
            with made_for("plain"):
                return function(*arguments)

        return tf.cond(is_full, lambda: compiled(*arguments), plain)

    def _vectors(self) -> list[Any]:
        return self.part.network.inputs[: self.part.vectors]

    def _refusal(self, function: Callable[..., Any], arguments: list[Any]) -> str:
        """Why XLA does not take a function of such arguments; empty if it does."""
        layers = nested_layers(self.part.network)
        for layer in layers:
            if not taken_by_xla(layer) and layer.name not in self.part.tables:
                who = f"Layer '{layer.name}' ({type(layer).__name__})"
                return f"{who} says that XLA cannot compile it (`supports_jit`)"
        flat = keras.tree.flatten(arguments)
        specs = [_of_few_rows(t) for t in flat if t is not None]

        def probe(*tensors: Any) -> Any:
            given = iter(tensors)
            values = [None if t is None else next(given) for t in flat]
            return function(*keras.tree.pack_sequence_as(arguments, values))

        try:
            _apart(self._lower, probe, specs)
        except RefusedByXLAError as error:
            # Keras numbers the scope of a layer that is called again; the longest name is nearest.
            layers.sort(key=lambda layer: -len(layer.name))
            found = [
                f"Layer '{layer.name}' ({type(layer).__name__})"
                for layer in layers
                if any(re.search(rf"/{layer.name}(_\d+)?/", node) for node in error.nodes)
            ]
            who = found[0] if found else "The step"
            return f"{who} has operations that XLA does not compile ({error})"
        return ""

    def _lower(self, function: Callable[..., Any], specs: Any) -> None:
        with one_replica(self.model):
            lowered(function, specs, devices_of_step(self.model)[0])

    def _said(self, refusal: str) -> bool:
        if refusal:
            warnings.warn(
                f"{refusal}. Model '{self.model.name}' runs as a plain graph, which is several "
                "times slower on a GPU; `compile(jit_compile=False)` asks for that without this "
                "warning.",
                stacklevel=2,
            )
        return not refusal


def _of_few_rows(x: Any) -> tf.TensorSpec:
    return tf.TensorSpec((PROBE_ROWS, *x.shape[1:]) if len(x.shape) else (), x.dtype)


def _apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """A call in a thread of its own: tapes and strategy of the step being traced are this one's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, function, *arguments).result()


def taken_by_xla(layer: Any) -> bool:
    """Whether to compile a layer. Sparse experts compute all rows in XLA: where that pays."""
    if isinstance(layer, PerTokenTopKMoE) and layer.sparse:
        return layer.num_experts <= PLAIN_GRAPH * layer.num_active
    return layer.supports_jit
