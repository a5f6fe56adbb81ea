"""Experimental, no TPU has run it: tables on TPUs, training steps checked ahead of time."""

import keras  # noqa: F401 (see `rankup_keras._registry`)
