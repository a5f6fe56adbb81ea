"""Compiles the training step of a model for a TPU, on a machine without one."""

import dataclasses
import functools
import importlib.util
import re

import keras

from rankup_keras.distribution.ahead_of_time.compiling import (
    check_step,
    compile_step,
    left_out,
)
from rankup_keras.distribution.ahead_of_time.hlo_traffic import count_traffic
from rankup_keras.distribution.ahead_of_time.training_step import RefusedOpsError, lower
from rankup_keras.distribution.tpu.chips import Chip, chip_of
from rankup_keras.models.dense_part import dense_part
from rankup_keras.models.model_cost import measure

# The compiler has two ways of saying how much memory is needed.
OVERFLOW = r"\(([\d.]+)([KMG]?)\) exceeds available HBM|Used ([\d.]+)([KMG]?) of [\d.]+[KMG]? hbm"
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


@dataclasses.dataclass(frozen=True)
class TPUReport:
    """What the compiler says of a training step on one chip; `print` shows it. Experimental.

    Attributes:
        topology: such as `"v5e:2x2"`.
        batch_size: rows per chip.
        chip: limits of the chip.
        fits: whether it compiles within the memory of the chip.
        hbm: bytes of memory needed: weights, slots, inputs and temporaries; if it
            does not fit, what the compiler says was too much. `None` if an op is
            refused.
        temporary: bytes of it that are needed during a step only.
        flops: operations of the compiled step, including those computed again
            for the gradient; 0 if it does not fit.
        model_flops: operations of the matrix products of the mathematics,
            forward and backward.
        bytes: bytes that the fused ops of a step read from the chip's memory
            (HBM) and write to it, counted from the compiled program: whole tiles
            of their layouts, the body of a loop at every turn, without what the
            compiler placed in the chip's fast memory.
        fast_bytes: the same for its fast memory (VMEM).
        compiler_bytes: the compiler's own count, which takes the body of a loop
            once and both memories together.
        refused: ops that a TPU does not have.
        outside: layers whose lookups are not part of the check.

    Example:

    ```python
    from rankup_keras.distribution.experimental import TPUReport
    from rankup_keras.distribution.tpu.chips import chip_of

    report = TPUReport(
        "v5e:2x2", 4096, chip_of("v5e:2x2"), fits=True, hbm=2**30, flops=2e12, model_flops=1e12,
        bytes=4e9,
    )
    assert report.limit == "compute" and 0 < report.mfu < 1
    print(report)
    ```
    """

    topology: str
    batch_size: int
    chip: Chip
    fits: bool
    hbm: float | None = None
    temporary: float = 0.0
    flops: float = 0.0
    model_flops: float = 0.0
    bytes: float = 0.0
    fast_bytes: float = 0.0
    compiler_bytes: float = 0.0
    refused: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()

    @property
    def compute_seconds(self) -> float:
        """Least time of a step that its operations allow."""
        return self.flops / self.chip.flops

    @property
    def memory_seconds(self) -> float:
        """Least time of a step that its traffic to memory allows."""
        return self.bytes / self.chip.bandwidth

    @property
    def seconds(self) -> float:
        """Roofline bound of a step: the larger of the two."""
        return max(self.compute_seconds, self.memory_seconds)

    @property
    def limit(self) -> str:
        """What bounds the step: `"compute"` or `"memory"`."""
        return "compute" if self.compute_seconds >= self.memory_seconds else "memory"

    @property
    def mfu(self) -> float:
        """Share of the chip's peak that the model's own operations reach at the bound."""
        return self.model_flops / self.chip.flops / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        where = f"{self.topology}, {self.batch_size:,} rows per chip"
        if self.refused:
            return f"{where}: a TPU refuses {', '.join(self.refused)}"
        needed = f"{(self.hbm or 0) / 2**30:.1f} GiB of {self.chip.memory / 2**30:.0f}"
        if not self.fits:
            return f"{where}: does not fit, {needed}"
        rate = f"{self.batch_size / self.seconds:,.0f} rows per second, MFU at most {self.mfu:.0%}"
        fast = f"{self.fast_bytes / 1e9:.2f} GB more in fast memory"
        lines = [
            f"{where}: compiles and fits",
            f"  memory     {needed} ({self.temporary / 2**30:.1f} temporary)",
            f"  operations {self.flops / 1e12:.2f} TFLOP, {1e3 * self.compute_seconds:.2f} ms",
            f"  traffic    {self.bytes / 1e9:.2f} GB, {1e3 * self.memory_seconds:.2f} ms ({fast})",
            f"  bound      {1e3 * self.seconds:.2f} ms by {self.limit}: {rate}",
        ]
        if self.outside:
            lines.append(
                f"  left out   lookups and updates of {', '.join(self.outside)}: they run on the "
                "SparseCore, and their tables need memory of their own"
            )
        return "\n".join(lines)


def tpu_check(model: keras.Model, batch_size: int, topology: str = "v5e:2x2") -> TPUReport:
    """Compiles the training step of a model with the compiler that a TPU would use. Experimental.

    No TPU is needed: `pip install 'rankup-keras[tpu]'` brings Google's compiler,
    which compiles ahead of time. The step is the real one (forward pass, loss,
    gradients, the update of the dense optimizer, metrics), for one chip. The
    bound of the report is a roofline of the operations of the compiled program
    and of its traffic to the chip's memory; a real step also waits. Embedding
    tables are left out: on a TPU the SparseCore looks them up.

    Args:
        model: a compiled Functional model, built under the policy that it will
            train with (`keras.config.set_dtype_policy("mixed_bfloat16")`).
        batch_size: int. Rows per chip: the global batch size divided by the chips.
        topology: `"v4:2x2x1"`, `"v5e:2x2"`, `"v5p:2x2x1"`, `"v6e:2x2"` or a larger
            one. Defaults to `"v5e:2x2"`.

    Returns:
        A `TPUReport`.

    Raises:
        ImportError: the compiler is not installed.
        ValueError: the model is not compiled, or the topology is unknown.

    Example:

    ```python
    import keras
    import rankup_keras as rk

    keras.config.set_dtype_policy("mixed_bfloat16")
    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    model = rk.RankMixer(features, ["click"], token_dim=8, num_tokens=4, num_blocks=1)
    model.compile(rk.optimizers.Split())
    print(rk.distribution.experimental.tpu_check(model, 4096, "v6e:2x2"))
    ```
    """
    chip = chip_of(topology)
    check_step(model, batch_size)
    missing = [name for name in ("jax", "libtpu") if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"`tpu_check` needs {' and '.join(missing)}: pip install 'rankup-keras[tpu]'."
        )
    part = dense_part(model)
    report = functools.partial(TPUReport, topology, batch_size, chip, outside=left_out(model, part))
    try:
        result, compiled = compile_step(lower(model, part, batch_size), "tpu", topology)
    except RefusedOpsError as error:
        return report(False, refused=tuple(error.ops))
    if "error" in result:
        needed = re.search(OVERFLOW, result["error"])
        if needed is None:
            raise RuntimeError(
                f"The TPU compiler does not take model '{model.name}': {result['error'][:1000]}"
            )
        number, unit = (group for group in needed.groups() if group is not None)
        return report(False, hbm=float(number) * UNITS[unit])
    found = count_traffic(compiled)
    held = result["arguments"] + result["outputs"] - result["aliased"]
    # A backward pass has two products for each of the forward pass.
    products = 3 * batch_size * measure(part.network).flops
    return report(
        True,
        hbm=held + result["temporary"] + result["code"],
        temporary=result["temporary"],
        # The compiler's count has element-wise work too, and the bodies of loops once.
        flops=max(result["flops"], found.flops),
        model_flops=products or result["flops"],
        bytes=found.bytes,
        fast_bytes=found.fast_bytes,
        compiler_bytes=result["bytes"],
    )
