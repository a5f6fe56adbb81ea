"""The callback that watches effective rank while a model trains."""

import fnmatch
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.diagnostics import plots
from rankup_keras.diagnostics.embedding_tables import embedding_tables
from rankup_keras.diagnostics.findings import Finding, find_problems
from rankup_keras.diagnostics.measure import measure, taps_of
from rankup_keras.diagnostics.probe import make_probe
from rankup_keras.diagnostics.record import (
    UNTRAINED,
    RankProfile,
    control_of,
    history_table,
    trained,
)
from rankup_keras.diagnostics.report_file import report
from rankup_keras.diagnostics.taps import Taps
from rankup_keras.diagnostics.token_sources import token_sources
from rankup_keras.diagnostics.writers import JsonLines, TensorBoardPages


class EffectiveRank(keras.callbacks.Callback):
    """Watches the effective rank of every layer's tokens while a model trains.

    Deeper ranking models buy nothing where their layers stop adding directions
    to the token matrix. This callback runs a fixed set of rows through the
    network and, after the tokenizer and after every mixer and FFN (residual
    included), takes the effective rank `exp(-sum(p * ln(p)))`,
    `p = s / sum(s)`, of the singular values `s` in two views: each sample's
    `tokens x width` matrix, averaged over samples with quantiles, and each
    token's `samples x width` matrix. The normalized effective rank is this over
    its ceiling. Token mixing reshapes, so a number by itself says little: each
    stands beside that of the same network with its initial weights.

    It works with any Functional model. After training (or during it):

    - `callback.table()` is a text table of layers by epochs, `callback.plot()`
      a picture, `callback.report(path)` a page with everything;
    - `callback.profiles` holds all numbers, the untrained control first;
    - `history.history` has one value per epoch under `effective_rank/<layer>`,
      `effective_rank_normalized/<layer>`, `token_effective_rank/<layer>`,
      `token_effective_rank_normalized/<layer>`, `stable_rank/<layer>`,
      `token_cosine/<layer>`, `information_abundance/<embedding table>` and
      `effective_rank_normalized/min`, the least over the layers that no
      residual path leads around.

    A Python warning names the layer whose normalized effective rank falls below
    a limit, or whose tokens die.

    Place it before the callbacks that should see its numbers, and after
    `BackupAndRestore`, so that it sees that training resumes. Under a strategy
    of several processes each of them measures, all see the mean of their
    numbers, and only the chief writes files and warns.

    Args:
        data: Rows to measure on, fixed at the start: raw columns, inputs of the
            model, a tuple `(x, y)`, or a batched `tf.data.Dataset`. Arrays are
            sampled at even distances, datasets give their first rows. Rows
            of the validation set are a good choice.
        layers: Names of the layers to measure. `None` takes the tokenizer's
            end and every mixer and FFN of this package's models, and every
            layer with a floating output of rank 3 of another model.
        frequency: `"epoch"`, or a number of batches between measurements; the
            end of an epoch is always measured. Defaults to `"epoch"`.
        probe_samples: Most rows to measure on; the cost grows with it. The token
            view of wide tokens wants a few times the width. Defaults to 256.
        control: Where the untrained numbers come from. `"start"` measures the
            model as `fit` receives it, `"reinitialize"` builds the network once
            more with fresh weights (frozen and adapted layers keep theirs),
            `"auto"` takes the first, or the second if the model's optimizer
            has already made steps. `None` for none. Defaults to `"auto"`.
        collapse_below: Normalized effective rank (sample view) under which a
            layer is reported as collapsed; 0 for never. Defaults to 0.3.
        logs: Which keys other callbacks (and the progress bar) see in `logs`:
            `"summary"` for the raw and normalized rank of the last layer and
            the least normalized one, `"all"`, or a list of keys, in which `*`
            stands for anything. Defaults to `"summary"`.
        log_dir: Directory for TensorBoard: scalars of every measurement, and
            heat maps (layers by time, tokens by layers) and spectra, drawn as
            often as 1 % of the time allows and at the end, as the run `effective_rank`
            beside Keras's own `train` and `validation`, in any order of callbacks. Their
            step is the optimizer's, not the epoch. `None` for none.
        path: File for one line of JSON per measurement, which
            `rk.diagnostics.report` reads. Where training resumes, the file is
            read and continued, else overwritten. `None` for none.
        table_rows: Most rows read of each embedding table for its information
            abundance; larger tables are sampled evenly. 0 for no tables.
            Defaults to 10,000.
        model: The Functional model to measure, where it is not the one that
            trains but a part of it.
        activations: For a model without a Functional graph: a function from a
            batch of inputs to a dict of `(batch, tokens, width)` arrays.

    Raises:
        ValueError: An argument is out of range (at once), or the model has no
            such layers or the data lack an input (when `fit` begins).

    Example:
    ```python
    import keras, numpy as np
    import rankup_keras as rk

    rows = {"item": np.array(["a", "b", "c", "d"] * 16), "user": np.array(["u", "v"] * 32)}
    features = rk.FeatureSet([rk.Categorical("item"), rk.Categorical("user")]).adapt(rows)
    model = rk.RankMixer(features, ["click"], token_dim=8, num_tokens=2, num_blocks=1)
    model.compile("adam")
    ranks = rk.callbacks.EffectiveRank(rows, path="runs/1/ranks.jsonl")
    stop = keras.callbacks.EarlyStopping("effective_rank_normalized/min", mode="max", patience=3)
    model.fit(rows, {"click": np.tile([0, 1], 32)}, epochs=2, callbacks=[ranks, stop])
    print(ranks.table())
    ranks.plot("ranks.png")
    ```

    References:
    - [RankUp](https://arxiv.org/abs/2604.17878), figures 3 (token view) and 4 (sample view).
    - [RankElastor](https://arxiv.org/abs/2605.23191): rank after each mixer and FFN.
    """

    def __init__(
        self,
        data: Any,
        layers: Sequence[str] | None = None,
        frequency: str | int = "epoch",
        probe_samples: int = 256,
        control: str | None = "auto",
        collapse_below: float = 0.3,
        logs: str | Sequence[str] = "summary",
        log_dir: str | os.PathLike[str] | None = None,
        path: str | os.PathLike[str] | None = None,
        table_rows: int = 10_000,
        model: Any = None,
        activations: Callable[[Any], Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        whole = isinstance(frequency, int | np.integer) and not isinstance(frequency, bool)
        if frequency != "epoch" and not (whole and int(frequency) >= 1):
            raise ValueError(
                '`frequency` must be "epoch" or a positive number of batches. '
                f"Received: frequency={frequency!r}."
            )
        if control not in ("auto", "start", "reinitialize", None):
            raise ValueError(
                '`control` must be "auto", "start", "reinitialize" or None. '
                f"Received: control={control!r}."
            )
        if not 0.0 <= collapse_below < 1.0:
            raise ValueError(
                "`collapse_below` must be at least 0 and below 1. "
                f"Received: collapse_below={collapse_below}."
            )
        if isinstance(logs, str) and logs not in ("summary", "all"):
            raise ValueError(
                f'`logs` must be "summary", "all" or a list of keys. Received: logs={logs!r}.'
            )
        if control == "reinitialize" and activations is not None:
            raise ValueError(
                '`control="reinitialize"` builds the network anew from its graph, which '
                '`activations` does not have. Pass control="start" or None.'
            )
        self.frequency = frequency
        self.probe_samples = probe_samples
        self.collapse_below = collapse_below
        self.table_rows = table_rows
        self.findings: list[Finding] = []
        self.control: RankProfile | None = None
        self.measured: list[RankProfile] = []
        self._data = data
        self._layers = layers
        self._control = control
        self._shown = logs
        self._target = model
        self._activations = activations
        self._json = None if path is None else JsonLines(path)
        self._board = None if log_dir is None else TensorBoardPages(log_dir)
        self.tokens: list[tuple[str, str]] = []
        self._tapped: Any = None
        self._taps: Any = None
        self._epoch = 0
        self._train_seconds = 0.0
        self._begun = 0.0
        self._every = 0 if isinstance(frequency, str) else frequency
        if self._every:
            # Only where it is needed: a callback with a batch hook makes
            # Keras wait for every batch's metrics.
            self.on_train_batch_end = self._after_batch

    @property
    def profiles(self) -> list[RankProfile]:
        """All measurements, the untrained control first."""
        return [*([self.control] if self.control is not None else []), *self.measured]

    @property
    def overhead(self) -> float:
        """Share of the training time that measurements and pictures took."""
        cost = sum(profile.seconds for profile in self.profiles)
        cost += self._board.seconds if self._board is not None else 0.0
        return cost / self._train_seconds if self._train_seconds else 0.0

    def table(self, view: str = "sample", normalized: bool = True) -> str:
        """Effective rank of every layer at every measurement, as text.

        Args:
            view: `"sample"` or `"token"`.
            normalized: Whether to show the normalized effective rank.
        """
        return history_table(self.profiles, view, normalized)

    def plot(self, path: str | os.PathLike[str] | None = None, view: str = "sample") -> Any:
        """Draws rank by layer and by time, the untrained network beside it.

        Args:
            path: Image file to write; its ending determines the format.
            view: `"sample"` or `"token"`.

        Returns:
            The Matplotlib figure.
        """
        figure = plots.rank_figure(self.profiles, view)
        if path is not None:
            figure.savefig(path)
        return figure

    def report(self, path: str | os.PathLike[str]) -> str:
        """Writes the page of `rk.diagnostics.report` for this run to `path`, and returns it."""
        return report(self, path)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._begun = time.perf_counter()
        target = self.model if self._target is None else self._target
        if target is not self._tapped:
            self._start(target, resumed=self._iterations() > 0)

    def _start(self, target: Any, resumed: bool) -> None:
        self._tapped = target
        self.control, self.measured, self.findings = None, [], []
        self._taps = taps_of(target, self._layers, self._activations)
        self.tokens = token_sources(target) if isinstance(self._taps, Taps) else []
        self._probe = make_probe(target, self._data, self.probe_samples)
        self._tables = embedding_tables(target) if self.table_rows else {}
        self._strategy = self.model.distribute_strategy or tf.distribute.get_strategy()
        self._chief = self._strategy.extended.should_checkpoint
        if self._json is not None and self._chief:
            earlier = self._json.open(self._taps.names if resumed else None)
            self.control, self.measured = control_of(earlier), trained(earlier)
        if self.control is None:
            self._measure_control(resumed)
        if self.control is not None:
            # A mistyped key should not wait for the end of an epoch.
            self._keys_for_logs(self.control.numbers())

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._board is not None and self._chief:
            self._board.close(self.profiles)
        self._train_seconds += time.perf_counter() - self._begun

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch
        self._batches = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch + 1
        profile = self._measure(f"epoch {epoch + 1}", logs)
        # Every process measures and sees the same numbers; the chief alone writes.
        numbers = _agreed(self._strategy, profile.numbers())
        shown = self._keys_for_logs(numbers)
        if logs is not None:
            logs.update({key: numbers[key] for key in shown})
        # Keras's History copies `logs`; what is not in there is added here.
        history = getattr(self.model, "history", None)
        if history is not None:
            for key, value in numbers.items():
                if logs is None or key not in shown:
                    history.history.setdefault(key, []).append(value)

    def _after_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        # With steps_per_execution the batch number jumps.
        before, self._batches = self._batches, batch + 1
        if self._batches // self._every > before // self._every:
            self._measure(f"step {self._iterations()}", logs)

    def _measure_control(self, resumed: bool) -> None:
        how = self._control
        if how == "auto":
            # Of a trained model without a graph nothing untrained can be had.
            again = "reinitialize" if isinstance(self._taps, Taps) else None
            how = again if resumed else "start"
        if how is None:
            return
        fresh = how == "reinitialize"
        taps, tables = (self._taps.reinitialized(), {}) if fresh else (self._taps, self._tables)
        self.control = measure(taps, self._probe, tables, self.table_rows, label=UNTRAINED)
        self._write(self.control)

    def _measure(self, label: str, logs: Mapping[str, Any] | None) -> RankProfile:
        at = (label, self._iterations(), self._epoch)
        profile = measure(self._taps, self._probe, self._tables, self.table_rows, *at)
        profile.logs = {k: float(v) for k, v in (logs or {}).items() if np.ndim(v) == 0}
        if self.measured and self.measured[-1].step == profile.step:
            self.measured.pop()
        self.measured.append(profile)
        self._write(profile)
        self._warn(profile)
        return profile

    def _write(self, profile: RankProfile) -> None:
        if self._json is not None and self._chief:
            self._json.write(profile)
        if self._board is not None and self._chief:
            self._board.write(self.profiles)

    def _warn(self, profile: RankProfile) -> None:
        known = {(finding.kind, finding.layer) for finding in self.findings}
        for finding in find_problems(profile, self.control, self.collapse_below):
            if (finding.kind, finding.layer) not in known:
                self.findings.append(finding)
                if self._chief:
                    warnings.warn(str(finding), stacklevel=2)

    def _keys_for_logs(self, numbers: Mapping[str, float]) -> list[str]:
        last = self._taps.names[-1]
        summary = [f"effective_rank/{last}", f"effective_rank_normalized/{last}"]
        shorthands = {"all": ["*"], "summary": [*summary, "effective_rank_normalized/min"]}
        shorthand = self._shown if isinstance(self._shown, str) else None
        keys: list[str] = []
        for pattern in shorthands[shorthand] if shorthand else self._shown:
            found = [pattern] if pattern in numbers else fnmatch.filter(numbers, pattern)
            if not found and not shorthand:
                raise ValueError(
                    f"`logs` names '{pattern}', which is none of the keys {sorted(numbers)}."
                )
            keys += [key for key in found if key not in keys]
        return keys

    def _iterations(self) -> int:
        optimizer = getattr(self.model, "optimizer", None)
        return 0 if optimizer is None else int(optimizer.iterations.numpy())


def _agreed(strategy: Any, numbers: dict[str, float]) -> dict[str, float]:
    """The mean over processes of each number, so that all of them stop at the same moment.

    Every process must call it, with the same keys. Callbacks such as
    `EarlyStopping` run in each process; if they saw different numbers, one
    would stop and the others would wait for it for ever.
    """
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if not several or strategy.num_replicas_in_sync == len(strategy.extended.worker_devices):
        return numbers  # this process has all replicas
    keys = sorted(numbers)
    local = tf.constant([numbers[key] for key in keys], tf.float32)
    spread = strategy.experimental_distribute_values_from_function(lambda context: local)
    means = strategy.reduce(tf.distribute.ReduceOp.MEAN, spread, axis=None).numpy()
    return {key: float(mean) for key, mean in zip(keys, means, strict=True)}
