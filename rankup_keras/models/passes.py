"""A training step whose batch goes through the layers a few rows at a time."""

import numbers
from collections.abc import Collection, Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.compat import trainer
from rankup_keras.models.compiled_region import CompiledRegion

# Reductions of losses whose means over passes add up to that of a batch.
MEANS = ("sum_over_batch_size", "mean")


class Passes(CompiledRegion):
    """One lookup and one update per batch, and between them a pass per few rows.

    Memory for activations is that of a pass. Gradients of passes are added, weighted by their
    rows, and so are those of a batch where its loss is a mean over rows.

    Args:
        model: a compiled `RankingModel`.
        rows: of a pass.
        compiled: whether XLA compiles a pass.
    """

    whole_batches = False

    def __init__(self, model: keras.Model, rows: int, compiled: bool) -> None:
        super().__init__(model, metrics=False, compiled=compiled)
        self.rows = rows

    def expect(self, key: str, rows: int | None) -> None:
        super().expect(key, self.rows if key == "train" else rows)

    def takes_training(self, data: Any) -> bool:
        self.compiled = self.compiled and super().takes_training(data)
        return True

    def takes_scoring(self, x: Any) -> bool:
        return self.compiled and super().takes_scoring(x)

    def _updates_inside(self, weight: Any) -> bool:
        return False

    def _trained(self, arguments: tuple[Any, ...]) -> Any:
        # Shares of labels are none: tasks that skip rows are refused.
        vectors, penalties, x, y, sample_weight, shares = arguments
        whole = (vectors, x, y, sample_weight)
        count = tf.shape(self._batch(x))[0]
        passes = tf.maximum((count + self.rows - 1) // self.rows, 1)
        known: list[bool] = []
        # What looking up adds to the loss is added once.
        nothing = [tf.zeros_like(x) for x in penalties]

        def one(index: Any) -> tuple[list[Any], list[Any], Any, Any]:
            """Gradients of weights and of vectors where there are some, loss, scores."""
            start, end = index * self.rows, tf.minimum((index + 1) * self.rows, count)
            part = keras.tree.map_structure(lambda x: None if x is None else x[start:end], whole)
            share = tf.cast(end - start, "float32") / tf.cast(tf.maximum(count, 1), "float32")
            arguments = (part[0], nothing, *part[1:], shares)
            dense, outer, _, (loss, predicted) = self._one_pass(arguments)
            outer = outer[: len(vectors)]
            known[:] = [gradient is not None for gradient in (*dense, *outer)]
            dense, outer = (
                # Those of `take` name rows.
                [tf.convert_to_tensor(g) * tf.cast(share, g.dtype) for g in own if g is not None]
                for own in (dense, outer)
            )
            return dense, outer, loss * tf.cast(share, loss.dtype), predicted

        # The first pass tells which gradients there are.
        dense, outer, loss, predicted = one(0)
        flat = [*outer, *keras.tree.flatten(predicted)]
        arrays = [
            tf.TensorArray(x.dtype, passes, infer_shape=False, element_shape=[None, *x.shape[1:]])
            for x in flat
        ]
        arrays = [array.write(0, x) for array, x in zip(arrays, flat, strict=True)]

        def body(index: Any, dense: Any, loss: Any, arrays: Any) -> Any:
            more, outer, its_loss, its_scores = one(index)
            dense = [a + b for a, b in zip(dense, more, strict=True)]
            flat = [*outer, *keras.tree.flatten(its_scores)]
            arrays = [array.write(index, x) for array, x in zip(arrays, flat, strict=True)]
            return index + 1, dense, loss + its_loss, arrays

        _, dense, loss, arrays = tf.while_loop(
            lambda index, *_: index < passes, body, (1, dense, loss, arrays), parallel_iterations=1
        )
        found = [array.concat() for array in arrays]
        predicted = keras.tree.pack_sequence_as(predicted, found[len(outer) :])
        scale = self.model.optimizer.scale_loss
        outer = [*found[: len(outer)], *(scale(tf.ones_like(x)) for x in penalties)]
        gradients = _with_none([*dense, *outer], [*known, *[True] * len(penalties)])
        # For the epoch's loss of each output, which passes leave alone.
        trainer.loss_of_step(self.model, nothing, x, y, predicted, sample_weight, True)
        weights = len(self._weights())
        return gradients[:weights], gradients[weights:], (loss + sum(penalties), predicted)

    def _one_pass(self, arguments: tuple[Any, ...]) -> Any:
        if self.compiled:
            return self._if_full("train", self._train, arguments, arguments[2])
        return self._train(*arguments)


def _with_none(values: Sequence[Any], known: Sequence[bool]) -> list[Any]:
    given = iter(values)
    return [next(given) if there else None for there in known]


def check_passes(rows: Any, losses: Any, skipping: Collection[str]) -> None:
    """Refuses what passes of so many rows would change."""
    if isinstance(rows, bool) or not isinstance(rows, numbers.Integral) or rows < 1:
        raise ValueError(
            f"`rows_per_pass` must be a whole number, 1 or more. Received: rows_per_pass={rows!r}."
        )
    # Keras takes the mean of what names and functions give.
    sums = [x for x in keras.tree.flatten(losses) if getattr(x, "reduction", "mean") not in MEANS]
    if sums or skipping:
        what = f"tasks that skip missing labels {sorted(skipping)}" if skipping else f"loss={sums}"
        raise ValueError(
            "`rows_per_pass` adds up means over rows: every loss must be a mean over all rows of "
            f"a batch. Received: {what}."
        )
