"""What a GPU can do, from NVIDIA's data sheets, and how XLA's compiler is told of it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Card:
    """One GPU.

    Attributes:
        name: as in `gpu_check`.
        flops: bfloat16 operations a second of its tensor cores, without sparsity.
        tf32_flops: the same for float32 inputs rounded to TF32.
        bandwidth: bytes per second of its memory.
        memory: bytes of its memory.
        capability: CUDA compute capability.
        cores: streaming multiprocessors.
        threads: threads of a multiprocessor.
        shared: bytes of shared memory of a multiprocessor.
        cache: bytes of its L2 cache.
        clock: GHz.
    """

    name: str
    flops: float
    tf32_flops: float
    bandwidth: float
    memory: float
    capability: tuple[int, int]
    cores: int
    threads: int
    shared: int
    cache: int
    clock: float

    @property
    def target(self) -> str:
        """The card as XLA's `GpuTargetConfigProto`, in text."""
        major, minor = self.capability
        feature = " feature_extension: ACCELERATED_FEATURES" if major >= 9 else ""
        return f"""
            gpu_device_info {{
              threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
              shared_memory_per_core: {self.shared} threads_per_core_limit: {self.threads}
              core_count: {self.cores} fpus_per_core: 128 block_dim_limit_x: 2147483647
              block_dim_limit_y: 65535 block_dim_limit_z: 65535
              memory_bandwidth: {self.bandwidth:.0f} l2_cache_size: {self.cache}
              clock_rate_ghz: {self.clock} device_memory_size: {self.memory:.0f}
              shared_memory_per_block_optin: {self.shared - 1024}
              cuda_compute_capability {{ major: {major} minor: {minor}{feature} }}
              registers_per_core_limit: 65536 registers_per_block_limit: 65536
            }}
            platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 8 }}
            runtime_version {{ major: 12 minor: 9 }} device_description_str: "{self.name}"
        """


# nvidia.com: data sheets of H100 (SXM), A100 (80 GB, SXM) and L4; sizes of multiprocessors from the
# CUDA programming guide's table of compute capabilities.
CARDS = {
    card.name: card
    for card in (
        Card("h100", 989e12, 494e12, 3352e9, 85e9, (9, 0), 132, 2048, 233472, 52428800, 1.98),
        Card("a100", 312e12, 156e12, 2039e9, 85e9, (8, 0), 108, 2048, 167936, 41943040, 1.41),
        Card("l4", 121e12, 60e12, 300e9, 23.6e9, (8, 9), 58, 1536, 102400, 50331648, 2.04),
    )
}


def card_of(name: str) -> Card:
    """The card of a name, such as `"h100"`."""
    if str(name).lower() not in CARDS:
        raise ValueError(f"`card` must be one of {sorted(CARDS)}. Received: card={name!r}.")
    return CARDS[str(name).lower()]
