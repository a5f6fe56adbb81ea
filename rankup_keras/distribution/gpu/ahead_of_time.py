"""Compiles a model's training step, or its scoring, for a GPU, on a machine without one."""

import dataclasses
import functools
from collections.abc import Mapping
from importlib import metadata

import keras

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.distribution.ahead_of_time.compiling import (
    check_step,
    compile_step,
    left_out,
)
from rankup_keras.distribution.ahead_of_time.hlo_traffic import PRODUCTS, count_kernels
from rankup_keras.distribution.ahead_of_time.training_step import (
    RefusedOpsError,
    lower,
    lower_scoring,
)
from rankup_keras.distribution.gpu.cards import Card, card_of
from rankup_keras.kernels.program import made_for
from rankup_keras.models.compiled_region import taken_by_xla
from rankup_keras.models.dense_part import dense_part
from rankup_keras.models.model_cost import measure

PLUGINS = ("jax-cuda12-pjrt", "jax-cuda13-pjrt")
# What XLA says where it may not measure, and its rules find no tiles for a product.
_NO_TILES = ("output tile sizes", "divisible part of the contracting dimension")


@dataclasses.dataclass(frozen=True)
class GPUReport:
    """What XLA's compiler says of a step on one GPU; `print` shows it.

    Attributes:
        card: the GPU.
        batch_size: rows per GPU.
        training: whether it is a step of `fit`, or one of `predict`.
        fits: whether weights, slots, inputs and temporaries fit the card's memory.
        memory: their bytes; 0 if an op is refused.
        temporary: bytes of it that are needed during a step only.
        kernels: number of kernels of a step by kind: `"products"` (matrix products with what XLA
            computes in the same kernel), `"reductions"`, `"element-wise"` and `"copies"`.
        bytes: bytes that they read from memory and write to it, by kind. Every kernel reads its
            operands and writes its results once; what the L2 cache saves is not known.
        model_flops: operations of the matrix products of the mathematics; in training
            forward and backward.
        rate: operations of products a second that the card reaches at most, in the
            model's compute dtype.
        refused: ops that XLA does not have.
        outside: layers whose lookups and updates are not part of the check.
        plain: layers behind the tables for which `fit` runs a plain graph all the same: their
            `supports_jit` is `False`.

    Example:

    ```python
    from rankup_keras.distribution import GPUReport
    from rankup_keras.distribution.gpu.cards import card_of

    report = GPUReport(
        card_of("h100"), 4096, fits=True, memory=2**30,
        kernels={"products": 12, "reductions": 30},
        bytes={"products": 3.352e9, "reductions": 3.352e9}, model_flops=989e9, rate=989e12,
    )
    assert abs(report.seconds - 0.002) < 1e-9 and abs(report.mfu - 0.5) < 1e-9
    print(report)
    ```
    """

    card: Card
    batch_size: int
    fits: bool
    memory: float = 0.0
    temporary: float = 0.0
    kernels: Mapping[str, int] = dataclasses.field(default_factory=dict)
    bytes: Mapping[str, float] = dataclasses.field(default_factory=dict)
    model_flops: float = 0.0
    rate: float = 1.0
    refused: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    training: bool = True

    @property
    def bytes_outside(self) -> float:
        """Bytes of all kernels that hold no product."""
        return sum(size for kind, size in self.bytes.items() if kind != PRODUCTS)

    @property
    def seconds(self) -> float:
        """Least time of a step: a GPU runs its kernels one after the other.

        Products are bound by operations or by memory, all others by memory.
        """
        products = self.bytes.get(PRODUCTS, 0.0) / self.card.bandwidth
        products = max(products, self.model_flops / self.rate)
        return products + self.bytes_outside / self.card.bandwidth

    @property
    def mfu(self) -> float:
        """Share of the card's rate that the model's own operations reach at the bound."""
        return self.model_flops / self.rate / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        task = "training" if self.training else "scoring"
        where = f"{self.card.name}, {task}, {self.batch_size:,} rows per GPU"
        if self.refused:
            return f"{where}: XLA refuses {', '.join(self.refused)}"
        needed = f"{self.memory / 2**30:.1f} GiB of {self.card.memory / 2**30:.0f}"
        kinds = ", ".join(
            f"{kind} {self.kernels[kind]} of {size / 1e9:.2f} GB"
            for kind, size in self.bytes.items()
        )
        total = sum(self.bytes.values())
        rate = f"{self.batch_size / self.seconds:,.0f}" if self.seconds else "no"
        lines = [
            f"{where}: compiles and {'fits' if self.fits else 'does not fit'}",
            f"  memory   {needed} ({self.temporary / 2**30:.1f} temporary)",
            f"  kernels  {sum(self.kernels.values())}: {kinds}",
            f"  traffic  {total / 1e9:.2f} GB, {self.bytes_outside / 1e9:.2f} outside the products",
            f"  bound    {1e3 * self.seconds:.2f} ms: {rate} rows a second, MFU {self.mfu:.0%}",
        ]
        if self.outside:
            lines.append(
                f"  left out lookups and updates of {', '.join(self.outside)}: they run outside of "
                "the compiled function, and their tables need memory of their own"
            )
        if self.plain:
            lines.append(
                f"  but      `fit` runs a plain graph: {', '.join(self.plain)} (`supports_jit`)"
            )
        return "\n".join(lines)


def gpu_check(
    model: keras.Model, batch_size: int, card: str = "h100", training: bool = True
) -> GPUReport:
    """Compiles a step of a model with XLA's compiler for NVIDIA's GPUs.

    No GPU is needed: `pip install 'rankup-keras[gpu-check]'` (1.2 GB) brings JAX's CUDA plugin,
    which compiles ahead of time. The step is what `fit` compiles on one GPU (forward pass, loss,
    gradients, the update of the dense optimizer, metrics), without lookups and updates of tables;
    or the layers behind the tables, which `predict` compiles.
    The compiler is of JAX's version, not TensorFlow's, and without a GPU it chooses between
    products by rule, where it would measure: compare kernels and bytes of two models, and read the
    bound as what no step can beat.

    Args:
        model: a Functional model, for a training step a compiled one, built under the policy
            that it will train with (`keras.config.set_dtype_policy("mixed_bfloat16")`).
        batch_size: int. Rows per GPU: the global batch size divided by the GPUs.
        card: `"h100"` (SXM), `"a100"` (80 GB) or `"l4"`. Defaults to `"h100"`.
        training: bool. `True` (default) for a step of `fit`, `False` for one of `predict`.

    Returns:
        A `GPUReport`.

    Raises:
        ImportError: the compiler is not installed.
        RuntimeError: the compiler fails.
        ValueError: the model is not compiled or not Functional, the card is unknown, or the
            batch size is no positive integer.

    Example:

    ```python
    import keras
    import rankup_keras as rk

    keras.config.set_dtype_policy("mixed_bfloat16")
    features = rk.FeatureSet([rk.Categorical("item", hash_buckets=100)])
    model = rk.RankMixer(features, ["click"], token_dim=8, num_tokens=4, num_blocks=1)
    model.compile(rk.optimizers.Split())
    print(rk.distribution.gpu_check(model, 4096))
    ```
    """
    found = card_of(card)
    check_step(model, batch_size, training)
    if not (_installed("jax") and any(map(_installed, PLUGINS))):
        raise ImportError(
            "`gpu_check` needs JAX and its CUDA plugin: pip install 'rankup-keras[gpu-check]'."
        )
    part = dense_part(model)
    layers = [layer for layer in nested_layers(part.network) if layer.name not in part.tables]
    report = functools.partial(
        GPUReport,
        found,
        batch_size,
        outside=left_out(model, part),
        plain=tuple(layer.name for layer in layers if not taken_by_xla(layer)),
        training=training,
    )
    lowering = lower if training else lower_scoring
    try:
        hlo = lowering(model, part, batch_size, functools.partial(made_for, "gpu"))
    except RefusedOpsError as error:
        return report(False, refused=tuple(error.ops))
    result, compiled = compile_step(hlo, "cuda", found.target)
    if "error" in result:
        raise RuntimeError(_explained(model, result["error"]))
    memory = result["arguments"] + result["outputs"] - result["aliased"]
    memory += result["temporary"] + result["code"]
    kernels = count_kernels(compiled)
    narrow = keras.backend.standardize_dtype(model.compute_dtype) in ("bfloat16", "float16")
    return report(
        memory <= found.memory,
        memory=memory,
        temporary=result["temporary"],
        kernels={kind: count for kind, (count, _) in kernels.items()},
        bytes={kind: size for kind, (_, size) in kernels.items()},
        # A backward pass has two products for each of the forward pass.
        model_flops=(3 if training else 1) * batch_size * measure(part.network).flops,
        rate=found.flops if narrow else found.tf32_flops,
    )


def _explained(model: keras.Model, error: str) -> str:
    said = f"XLA does not take model '{model.name}': {error[:1000]}"
    if not any(part in error for part in _NO_TILES):
        return said
    return (
        f"XLA cannot compile model '{model.name}' without a GPU. It then chooses the tiles of a "
        "product by rule, of which none fits here; on a GPU it tries others, and cuBLAS. Check the "
        "model with sequences whose `max_length` is a multiple of 16, such as 64 for 50. XLA said: "
        f"{error[:300]}"
    )


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
