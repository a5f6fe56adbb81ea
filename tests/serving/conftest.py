import pytest

from rankup_keras.serving import export
from tests.serving import stand_in


@pytest.fixture(scope="session")
def model():
    return stand_in.make_model()


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """A version directory of the stand-in model, made once."""
    return export(model, tmp_path_factory.mktemp("exports") / "ranker")
