"""Losses for tasks, beside those of `keras.losses`: give them to `Task(loss=...)` or `compile`."""

from rankup_keras.losses.downsampled_crossentropy import (
    DownsampledCrossentropy as DownsampledCrossentropy,
)
