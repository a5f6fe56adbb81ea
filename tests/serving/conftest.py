import pytest

from rankup_keras.serving import export
from tests.serving import stand_in


@pytest.fixture(scope="session")
def model():
    return stand_in.make_model()


@pytest.fixture(scope="session")
def exported(model, tmp_path_factory):
    """A version directory of the stand-in model with every signature, made once."""
    return export(
        model,
        tmp_path_factory.mktemp("exports") / "ranker",
        warmup=stand_in.make_rows(100),
        batch_sizes=(1, 7, 32),
        metrics={"val_click_auc": 0.8},
        effective_rank={"block_1_mixer": 0.5},
    )
