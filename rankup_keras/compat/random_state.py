"""The state of Keras's global random numbers."""

from typing import Any

from keras.src.random import seed_generator


def global_seed_state() -> Any:
    """The variable from which Keras draws seeds where none is given.

    `keras.utils.set_random_seed` starts it anew and nothing public reads it. Read in
    Keras 3.15.1. It can go once the global `SeedGenerator` is public.
    """
    return seed_generator.global_seed_generator().state
