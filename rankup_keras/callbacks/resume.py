"""Exact resume of a training run that was killed."""

import json
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.compat.trainer import start_at_epoch
from rankup_keras.training import resume_state as states
from rankup_keras.training.folder_lock import FolderLock
from rankup_keras.training.resume_replay import Replay
from rankup_keras.training.resume_store import CheckpointStore

FORMAT = 3
HOOKS = [
    f"on_{phase}_{moment}"
    for phase in ("train", "test", "predict")
    for moment in ("begin", "end", "batch_begin", "batch_end")
] + ["on_epoch_begin", "on_epoch_end"]


class Resume(keras.callbacks.Callback):
    """Writes checkpoints during training and resumes exactly from the last one.

    Run the same program again after a crash: `fit` continues with the batch
    after the last checkpoint and ends with the weights, the history and the
    callbacks' records of an uninterrupted run. A checkpoint holds

    - all weights, metrics, and the slots of the optimizer (of both parts of
      `rankup_keras.optimizers.Split`),
    - epoch, step, and the position in the data,
    - the random state: layers' seeds, Keras's, NumPy's and Python's,
    - what the callbacks given here have gathered: the best value so far and
      the patience used, the effective-rank log, the history; files that they
      append to are cut back to the checkpoint.

    Checkpoints are written under a temporary name, checksummed and renamed; the
    last `keep` stay. A damaged one is skipped with a warning; if all are, `fit`
    refuses to start. Under a strategy with several workers the chief writes; all
    need to see `directory`, which the chief locks until the end of training.

    The data must come in the same order again: arrays, or a
    `tf.data.Dataset` of files and functions without state of their own. If
    anything is shuffled, call `keras.utils.set_random_seed` before data and
    model are made. Batches that were trained on are read and dropped; epochs
    that were finished show in the progress bar as empty ones.

    Args:
        directory: folder for the checkpoints of this training run alone.
        callbacks: list of callbacks to resume as well. Give them here, not
            beside `Resume`: those outside see the skipped epochs.
        every: `"epoch"` or the number of batches between checkpoints; the end of
            an epoch always makes one. Defaults to `"epoch"`.
        keep: int, how many checkpoints stay. Defaults to 2.
        data: what tells these data from others, as JSON has it, such as
            `files.fingerprint` of `rankup_keras.data.Files`. A checkpoint of other
            data is refused. Defaults to `None`: not checked.
        data_changed: bool. Go on from a checkpoint of other `data`, as for
            training day by day: the epoch that was interrupted begins anew on the
            new data, and callbacks that compare a `monitor` forget the old ones.
            Defaults to `False`.

    Raises:
        FolderInUseError: from `fit`: another process trains into `directory`.
        ValueError: a wrong argument; from `fit`: a checkpoint of another model or of
            other data, no intact one, data that ends before the checkpoint's
            position, workers that do not see the same folder, or tables on a TPU's
            SparseCores, whose optimizers' slots are out of reach.

    Example:

    ```python
    import keras
    import rankup_keras as rk

    rows = {"ad": ["a", "b", "a", "c"], "user": ["x", "x", "y", "y"], "click": [1, 0, 1, 0]}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)

    def train(epochs):
        keras.utils.set_random_seed(1)
        model = rk.DLRM(features, ["click"], embedding_dim=4, top_units=(8,))
        model.compile()
        stop = keras.callbacks.EarlyStopping("loss", patience=2)
        resume = rk.callbacks.Resume("checkpoints", callbacks=[stop])
        return model.fit(rows, epochs=epochs, callbacks=[resume], verbose=0)

    train(epochs=2)
    print(train(epochs=3).epoch)  # [0, 1, 2], of which only the last was trained now
    ```
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        callbacks: Sequence[Any] = (),
        every: str | int = "epoch",
        keep: int = 2,
        data: Any = None,
        data_changed: bool = False,
    ) -> None:
        super().__init__()
        if every != "epoch" and (
            isinstance(every, bool) or not isinstance(every, int | np.integer) or every < 1
        ):
            raise ValueError(
                f'`every` must be "epoch" or a positive number of batches. Received: {every!r}.'
            )
        if isinstance(keep, bool) or not isinstance(keep, int | np.integer) or keep < 1:
            raise ValueError(f"`keep` must be a positive integer. Received: keep={keep!r}.")
        self.directory = pathlib.Path(directory)
        self.callbacks = list(callbacks)
        self.keep = keep
        self.data = json.loads(json.dumps(data))
        self.data_changed = data_changed
        self._every = every if isinstance(every, int | np.integer) else 0
        self._lock = FolderLock(directory)
        self._begun = 0
        self._changed = False
        self._saved_at = 0
        self._starts: list[dict[str, Any]] = []
        for name in HOOKS:
            self._forward(name)

    def _forward(self, name: str) -> None:
        own: Callable[..., None] | None = getattr(self, f"_{name}", None)
        listeners = [c for c in self.callbacks if states.listens(c, name)]
        if name == "on_train_batch_end" and not self._every:
            own = None
        if own is None and not listeners:
            # Keras waits for every batch's metrics where a batch hook is there.
            return

        def tell(*args: Any, **kwargs: Any) -> None:
            for callback in listeners:
                getattr(callback, name)(*args, **kwargs)

        def skipped() -> bool:
            if name == "on_train_batch_begin":
                return self._replay.skips_next
            if name == "on_train_batch_end":
                return self._replay.skipped_last
            return self._replay.skips_epoch

        def hook(*args: Any, **kwargs: Any) -> None:
            if own is not None:
                own(tell, *args, **kwargs)
            elif not skipped():
                tell(*args, **kwargs)

        setattr(self, name, hook)

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        on_tpu = [layer.name for layer in model.layers if getattr(layer, "on_tpu", False)]
        if on_tpu:
            raise ValueError(
                "`Resume` cannot read what a TPU's SparseCores keep of their tables; save the "
                "weights by `keras.callbacks.ModelCheckpoint`, from which a training starts warm. "
                f"Received: a model whose layers {on_tpu} lie there."
            )
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)
        self._replay = Replay(model)

    # Hooks

    def _on_train_begin(self, tell: Callable[..., None], logs: Any = None) -> None:
        strategy = self.model.distribute_strategy
        self._chief = bool(strategy.extended.should_checkpoint)
        worker = "chief" if self._chief else f"worker-{_task_id(strategy)}"
        if self._chief:
            self._lock.acquire()
        self._store = CheckpointStore(self.directory, self.keep, worker)
        number = self._store.newest_good()
        state = None if number is None else self._store.state(number)
        self._state = state
        # Other workers may have copies of other times: the chief's data count.
        other = self._chief and state is not None and self._is_other(state["data"])
        other = _agree(strategy, -1 if number is None else number, other, self.directory)
        self._finished = False
        if number is None or state is None:
            tell(logs)
            self._starts = [states.callback_start(c) for c in self.callbacks]
            self._replay.start(0, 0, [])
            return
        folder = self._store.path(number)
        with np.load(folder / "arrays.npz") as arrays:
            self._packer = states.Packer(arrays)
        states.check_same_model(state, FORMAT, self._description(), self.callbacks, self.directory)
        self._begin_at(state, other)
        self._read_variables(folder)
        self._folder = folder
        for callback in self.callbacks:
            if isinstance(callback, keras.callbacks.CSVLogger):
                callback.append = True
        self._cut_logs(state)
        tell(logs)
        self._starts = [states.callback_start(c) for c in self.callbacks]
        self._cut_logs(state)
        self._restore_records(state)
        epochs = self.params.get("epochs", 1)
        if state["epoch"] >= epochs or (state["stopped"] and not self._changed):
            self._finished = True
            start_at_epoch(self.model, epochs)
            return
        if self._begun:
            start_at_epoch(self.model, self._begun)
        self._replay.start(state["epoch"], state["calls"], state["calls_by_epoch"], self._begun)

    def _on_epoch_begin(self, tell: Callable[..., None], epoch: int, logs: Any = None) -> None:
        self._replay.begin_epoch(epoch)
        if self._replay.skips_epoch:
            return
        if self._state is None:
            if epoch and self._replay.calls_by_epoch:
                self._save(epoch, 0)
            tell(epoch, logs)
            return
        state, self._state = self._state, None
        if state["calls"]:
            # The epoch's beginning was before the checkpoint: what it did is overwritten.
            tell(epoch, logs)
        self._read_variables(self._folder)
        if not state["calls"]:
            # A checkpoint after the last epoch holds the sums of its validation.
            self.model.reset_metrics()
        self._restore_records(state)
        self._saved_at = state["calls"]

        def restore() -> None:
            self._read_variables(self._folder)
            states.restore_random(state["random"], self._packer)

        self._replay.before_first_batch = restore
        states.restore_random(state["random"], self._packer)
        if not state["calls"]:
            if self._changed:
                self._save(epoch, 0)
            tell(epoch, logs)
            self._replay.before_first_batch = None

    def _on_epoch_end(self, tell: Callable[..., None], epoch: int, logs: Any = None) -> None:
        self._replay.end_epoch()
        if not self._replay.skips_epoch:
            tell(epoch, logs)
        self._saved_at = 0

    def _on_train_batch_end(self, tell: Callable[..., None], batch: int, logs: Any = None) -> None:
        if self._replay.skipped_last:
            return
        tell(batch, logs)
        calls = self._replay.calls
        steps = calls * self.model.steps_per_execution
        if steps - self._saved_at * self.model.steps_per_execution >= self._every:
            self._save(self._replay.epoch, calls)
            self._saved_at = calls

    def _on_train_end(self, tell: Callable[..., None], logs: Any = None) -> None:
        self._replay.stop()
        start_at_epoch(self.model, None)
        if self._finished and self._state is not None:
            # Keras's History began anew after this callback began.
            self._restore_records(self._state)
            self._lock.release()
            return
        tell(logs)
        self._save(len(self._replay.calls_by_epoch), 0, stopped=bool(self.model.stop_training))
        self._lock.release()

    # What a checkpoint holds

    def _variables(self) -> dict[str, list[Any]]:
        model, optimizer = self.model, self.model.optimizer
        if optimizer is not None and not optimizer.built:
            optimizer.build(model.trainable_variables)
        metrics = {id(v): v for v in model.metrics_variables}
        return {
            "model": [v for v in model.variables if id(v) not in metrics],
            "optimizer": [] if optimizer is None else list(optimizer.variables),
            # Built by the first batch; until then they are not there to be filled.
            "metrics": list(metrics.values()),
        }

    def _checkpoint(self) -> tf.train.Checkpoint:
        parts = self._variables()
        return tf.train.Checkpoint(**{name: [v.value for v in own] for name, own in parts.items()})

    def _save(self, epoch: int, calls: int, stopped: bool = False) -> None:
        packer = states.Packer()
        state = {
            "format": FORMAT,
            "epoch": epoch,
            "calls": calls,
            "calls_by_epoch": self._replay.calls_by_epoch,
            "stopped": stopped,
            "data": self.data,
            "begun": self._begun,
            "model": self._description(),
            "history": packer.pack(self.model.history.history),
            "epochs": self.model.history.epoch,
            "callbacks": [
                states.callback_state(callback, start, packer)
                for callback, start in zip(self.callbacks, self._starts, strict=True)
            ],
            "random": states.random_state(packer),
            "logs": [
                path.stat().st_size if path.is_file() else 0
                for path in states.log_files(self.callbacks)
            ],
        }

        def fill(folder: pathlib.Path) -> None:
            self._checkpoint().write(str(folder / "variables"))
            arrays: dict[str, Any] = dict(packer.arrays)
            np.savez(folder / "arrays.npz", **arrays)
            (folder / "state.json").write_text(json.dumps(state))

        self._store.write(fill, publish=self._chief)

    def _read_variables(self, folder: pathlib.Path) -> None:
        self._checkpoint().read(str(folder / "variables")).expect_partial()

    def _restore_records(self, state: dict[str, Any]) -> None:
        self.model.history.history = self._packer.unpack(state["history"])
        self.model.history.epoch = list(state["epochs"])
        for callback, kept in zip(self.callbacks, state["callbacks"], strict=True):
            if self._changed and hasattr(callback, "monitor"):
                continue  # what other data gave is nothing to compare with
            states.restore_callback(callback, kept, self._packer)

    def _cut_logs(self, state: dict[str, Any]) -> None:
        if self._chief:
            for path, size in zip(states.log_files(self.callbacks), state["logs"], strict=True):
                states.cut_back(path, size)

    def _is_other(self, data: Any) -> bool:
        return None not in (data, self.data) and data != self.data

    def _begin_at(self, state: dict[str, Any], other: bool) -> None:
        """Takes the epoch that the data begin with: a new one, if they are other data."""
        self._begun = state["begun"]
        if not other:
            return
        if not self.data_changed:
            raise ValueError(
                f"The checkpoint in '{self.directory}' is of a training on other data, or other "
                "versions of these files. Bring the data back, use another directory, or go on "
                "with these data by `data_changed=True`."
            )
        self._changed = True
        self._begun = state["epoch"]
        state["calls"] = 0

    def _description(self) -> list[Any]:
        parts = self._variables()
        return [
            # Keras numbers names it gives itself, and goes on counting with every model; and the
            # scopes of an optimizer's names depend on who built it.
            [re.sub(r"_?\d+", "", v.path.rpartition("/")[2]), list(v.shape), str(v.dtype)]
            for v in (*parts["model"], *parts["optimizer"])
        ]


def _task_id(strategy: Any) -> int:
    return int(strategy.cluster_resolver.task_id or 0)


def _agree(strategy: Any, number: int, flag: bool, directory: pathlib.Path) -> bool:
    """Whether any worker says so; they must all see the same checkpoint."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return flag
    values = [float(number), float(number) ** 2, float(flag)]
    spread = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(values, tf.float64)
    )
    mean, square, flags = strategy.reduce(tf.distribute.ReduceOp.MEAN, spread, axis=None).numpy()
    if square != mean**2:
        raise ValueError(
            f"The workers do not see the same checkpoints in '{directory}': it must be a folder "
            "that all of them share."
        )
    return bool(flags > 0)
