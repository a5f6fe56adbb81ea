from .downsampled_crossentropy import (
    DownsampledCrossentropy as DownsampledCrossentropy,
)
