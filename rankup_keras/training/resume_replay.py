"""Brings `fit` back to the batch where it stopped, through the same iterators as before."""

from collections.abc import Callable, Sequence
from typing import Any

from rankup_keras.compat.trainer import build_metrics, skip_validation


class Replay:
    """Replaces a model's train function and skips the steps that were trained already.

    `fit` runs from its first epoch. Before the position the train function does
    nothing, so that Keras makes every iterator that it made the first time (a
    shuffled dataset draws its order when an iterator is made) and counts the same
    steps. In the epoch of the position the batches before it are read and dropped.

    Args:
        model: the Keras model in `fit`.

    Attributes:
        skipped_last: whether the last call of the train function was skipped.
        epoch: the epoch that `fit` is in.
        calls: calls of the train function in this epoch, skipped ones included.
        calls_by_epoch: the same of the epochs before.
        before_first_batch: called once, after everything before the position was
            skipped and the metrics were built.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.skipped_last = False
        self.epoch = 0
        self.calls = 0
        self.calls_by_epoch: list[int] = []
        self.before_first_batch: Callable[[], None] | None = None
        self._to_epoch = self._to_calls = 0
        self._iterator: Any = None
        self._behind = 0
        self._train_function: Any = None

    def start(self, epoch: int, calls: int, calls_by_epoch: Sequence[int], begun: int = 0) -> None:
        """Sets the position: `calls` calls into `epoch`, of a `fit` that begins with `begun`."""
        self._to_epoch, self._to_calls = epoch, calls
        self._known_calls = list(calls_by_epoch)
        self.calls_by_epoch = list(calls_by_epoch[:begun])
        self._train_function = self.model.train_function
        self.model.train_function = self._step
        if epoch > begun:
            # Skipped epochs have no validation and no metrics.
            skip_validation(self.model, True)

    def stop(self) -> None:
        """Gives the model back its own train function."""
        if self._train_function is not None:
            self.model.train_function = self._train_function
            self._train_function = None
        skip_validation(self.model, False)
        self._iterator = None

    @property
    def skips_epoch(self) -> bool:
        """Whether this whole epoch is skipped."""
        return self.epoch < self._to_epoch

    @property
    def skips_next(self) -> bool:
        """Whether the next call of the train function will be skipped."""
        return self.skips_epoch or (self.epoch == self._to_epoch and self.calls < self._to_calls)

    def begin_epoch(self, epoch: int) -> None:
        """Takes note of the epoch that begins."""
        self.epoch, self.calls = epoch, 0
        self.skipped_last = False
        if not self.skips_epoch:
            skip_validation(self.model, False)

    def end_epoch(self) -> None:
        """Notes how long the epoch was."""
        self.calls_by_epoch.append(self.calls)

    def _step(self, iterator: Any) -> Any:
        self.skipped_last = self.skips_next
        if not self.skipped_last:
            if iterator is self._iterator:
                self._catch_up(iterator)
            logs = self._train_function(iterator)
            self.calls += 1
            return logs
        if self.skips_epoch and self.calls == self._known_calls[self.epoch]:
            # Data of unknown length: Keras learns it from its end.
            raise StopIteration
        if iterator is not self._iterator:
            self._iterator, self._behind = iterator, 0
        self._behind += 1
        self.calls += 1
        if self.skips_next:
            return {}
        if self.epoch == self._to_epoch:
            self._catch_up(iterator)
            if self.before_first_batch is not None:
                act, self.before_first_batch = self.before_first_batch, None
                act()
            # Should the epoch end here, Keras asks for these names.
            return self.model.get_metrics_result()
        return {}

    def _catch_up(self, iterator: Any) -> None:
        behind, self._behind, self._iterator = self._behind, 0, None
        batch = None
        for done in range(behind * self.model.steps_per_execution):
            try:
                batch = next(iterator)
            except StopIteration:
                raise ValueError(
                    f"The data ended after {done} batches of epoch {self.epoch}; the checkpoint "
                    f"was written after {behind * self.model.steps_per_execution}. Resuming needs "
                    "the same data in the same order."
                ) from None
        if batch is not None:
            # The checkpoint has their values in the middle of an epoch.
            build_metrics(self.model, batch)
