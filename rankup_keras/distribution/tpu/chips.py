"""What a TPU chip can do, from Google Cloud's pages on each version."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Chip:
    """Limits of one chip.

    Attributes:
        name: version, as in a topology's name.
        flops: bfloat16 operations a second of its matrix units.
        bandwidth: bytes per second of its memory (HBM).
        memory: bytes of its memory.
    """

    name: str
    flops: float
    bandwidth: float
    memory: float


# cloud.google.com/tpu/docs/v4, v5e, v5p, v6e: system architecture, "key chip specifications".
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", 275e12, 1228e9, 32 * 2**30),
        Chip("v5e", 197e12, 819e9, 16 * 2**30),
        Chip("v5p", 459e12, 2765e9, 95 * 2**30),
        Chip("v6e", 918e12, 1640e9, 32 * 2**30),
    )
}


def chip_of(topology: str) -> Chip:
    """The chip of a topology's name, such as `"v5e:2x2"`."""
    name, _, shape = topology.partition(":")
    sides = shape.split("x")
    if name not in CHIPS or len(sides) < 2 or not all(side.isdigit() for side in sides):
        raise ValueError(
            f"`topology` must be one of {sorted(CHIPS)} and a shape, such as 'v5e:2x2', 'v6e:2x2', "
            f"'v4:2x2x1' or 'v5p:2x2x1'. Received: topology={topology!r}."
        )
    return CHIPS[name]
