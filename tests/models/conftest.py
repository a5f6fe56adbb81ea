"""Models trained once for all tests."""

import keras
import pytest

from tests.models import tiny


@pytest.fixture(scope="session", params=list(tiny.MAKERS))
def trained(request):
    """A trained model of each kind; tests read it and leave it as it is."""
    model = tiny.MAKERS[request.param]()
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    model.fit(tiny.make_rows(), tiny.make_labels(), batch_size=16, verbose=0)
    return model
