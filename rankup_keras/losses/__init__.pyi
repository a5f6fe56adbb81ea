from .downsampled_crossentropy import (
    DownsampledCrossentropy as DownsampledCrossentropy,
)
from .fake_negative_weighted import FakeNegativeWeighted as FakeNegativeWeighted
