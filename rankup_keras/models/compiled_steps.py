"""A ranking model's steps, compiled behind the tables where `jit_compile` says so."""

import contextlib
import platform
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.compat.mixed_in import MixedIn
from rankup_keras.compat.tf_data import batches_of, distributed_by
from rankup_keras.compat.xla import determinism_enabled
from rankup_keras.models.batches_ahead import (
    BatchesAhead,
    devices_ahead,
    left_on_host,
    reads_to_gpus,
)
from rankup_keras.models.compiled_region import CompiledRegion
from rankup_keras.models.passes import Passes
from rankup_keras.models.step_devices import devices_of_step

# Rows of a batch where `fit`, `evaluate` and `predict` are told none.
DEFAULT_BATCH = 32


class CompiledSteps(MixedIn):
    """Mixed into a Functional model, compiles its steps behind the tables; see `CompiledRegion`."""

    _jit_compile_asked: Any = "auto"
    _rows_per_pass: int | None = None
    _prefetch: bool = False
    _region: CompiledRegion | None = None
    _grouped: Any = None  # metrics of groups, which `compile` makes

    def compile(self, *args: Any, **kwargs: Any) -> None:
        self._jit_compile_asked, self._region = kwargs.pop("jit_compile", "auto"), None
        self._rows_per_pass = kwargs.pop("rows_per_pass", None)
        self._prefetch = kwargs.pop("prefetch_to_device", False)
        if not isinstance(self._prefetch, bool):
            raise ValueError(
                "`prefetch_to_device` must be True or False. "
                f"Received: prefetch_to_device={self._prefetch!r}."
            )
        strategy = self.distribute_strategy
        if self._rows_per_pass and isinstance(strategy, tf.distribute.TPUStrategy):
            raise ValueError(
                "`rows_per_pass` is for CPUs and GPUs. Under a TPUStrategy use smaller batches. "
                f"Received: rows_per_pass={self._rows_per_pass}."
            )
        several = kwargs.get("steps_per_execution", 1)
        replicas = strategy.num_replicas_in_sync
        if isinstance(strategy, tf.distribute.MirroredStrategy) and replicas > 1 and several != 1:
            raise ValueError(
                "`steps_per_execution` must be 1 under a MirroredStrategy of several replicas, "
                "where Keras 3.15.1 cannot read several batches in one function. "
                f"Received: steps_per_execution={several!r}, {replicas} replicas."
            )
        # Keras compiles a whole step or nothing.
        super().compile(*args, jit_compile=False, **kwargs)

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        own = {
            "jit_compile": self._jit_compile_asked,
            "rows_per_pass": self._rows_per_pass,
            "prefetch_to_device": self._prefetch,
        }
        return {**config, **own} if config else config

    def train_step(self, data: Any) -> Any:
        region = self.compiled_region()
        if region is not None and region.takes_training(data):
            return region.train_step(data)
        return super().train_step(data)

    def test_step(self, data: Any) -> Any:
        region, x = self.compiled_region(), keras.utils.unpack_x_y_sample_weight(data)[0]
        if region is not None and region.takes_scoring(x):
            return region.test_step(data)
        return super().test_step(data)

    def predict_step(self, data: Any) -> Any:
        region, x = self.compiled_region(), keras.utils.unpack_x_y_sample_weight(data)[0]
        if region is not None and region.takes_scoring(x):
            return region.scores(x)[0]
        return super().predict_step(data)

    def fit(self, x: Any, y: Any, batch_size: int | None, **kwargs: Any) -> Any:
        self._expect("train", x, batch_size)
        with self._fed():
            return super().fit(x, y, batch_size, **kwargs)

    def evaluate(self, x: Any, y: Any, batch_size: int | None, *args: Any, **kwargs: Any) -> Any:
        self._expect("test", x, batch_size)
        with self._fed():
            return super().evaluate(x, y, batch_size, *args, **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, *args: Any, **kwargs: Any) -> Any:
        self._expect("test", x, batch_size)
        with self._fed():
            return super().predict(x, batch_size, *args, **kwargs)

    def _fed(self) -> contextlib.AbstractContextManager[None]:
        """Within it ids reach a step on the host, which computes with them; see `BatchesAhead`."""
        strategy = self.distribute_strategy
        devices = devices_ahead(self) if self._prefetch else []
        if devices:
            return distributed_by(
                strategy,
                lambda distribute, data: BatchesAhead(left_on_host(distribute, data), devices),
            )
        if reads_to_gpus(strategy):
            return distributed_by(strategy, left_on_host)
        return contextlib.nullcontext()

    def compiled_region(self) -> CompiledRegion | None:
        """What is compiled, made when it is first asked for; `None` where nothing is."""
        model: Any = self
        compiled = not model.run_eagerly and _compiles(self._jit_compile_asked, model)
        if not (compiled or self._rows_per_pass or _several_replicas(model)):
            return None
        if self._region is None:
            with tf.init_scope():
                if self._rows_per_pass:
                    self._region = Passes(model, self._rows_per_pass, compiled)
                    return self._region
                # Groups are read into histograms, which XLA would pass over as a whole.
                metrics = not (self._grouped and self._grouped.metrics)
                self._region = CompiledRegion(model, metrics, compiled)
        return self._region

    def _expect(self, key: str, x: Any, batch_size: int | None) -> None:
        if batch_size is not None and not (
            isinstance(batch_size, int | np.integer) and batch_size > 0
        ):
            raise ValueError(
                f"`batch_size` must be a positive integer. Received: batch_size={batch_size!r}."
            )
        region = self.compiled_region()
        if region is None:
            return
        rows = None
        if isinstance(x, tf.data.Dataset):
            rows = batches_of(x).size
        elif isinstance(x, Mapping):
            rows = batch_size or DEFAULT_BATCH
        replicas = self.distribute_strategy.num_replicas_in_sync
        region.expect(key, rows and rows // replicas)


def _several_replicas(model: Any) -> bool:
    strategy = model.distribute_strategy
    on_tpu = isinstance(strategy, tf.distribute.TPUStrategy)  # whose replicas are one program
    return strategy.num_replicas_in_sync > 1 and not on_tpu


def _compiles(asked: Any, model: Any) -> bool:
    if isinstance(model.distribute_strategy, tf.distribute.TPUStrategy):
        return False  # compiles the whole step
    if asked != "auto":
        return bool(asked)
    # TensorFlow has no XLA for Apple's GPUs, and not all of XLA is deterministic.
    if platform.system() == "Darwin" or determinism_enabled():
        return False
    # A machine with GPUs may train on its CPU: they are hidden, or a strategy or device was asked
    # for.
    return all(tf.DeviceSpec.from_string(d).device_type == "GPU" for d in devices_of_step(model))
