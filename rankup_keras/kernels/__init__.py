"""How a few hot functions are computed, by what the program will run on."""

import keras  # noqa: F401 (see `rankup_keras._registry`)
