"""Keras's legacy HDF5 files of whole models."""

from keras.src.backend.common import global_state


def writes_hdf5() -> bool:
    """Whether a config is asked for by `keras.saving.save_model` to an HDF5 file.

    Such a file has no place for assets, and nothing else of the model is asked before its config.
    Keras marks the time by a global attribute. Read in Keras 3.15.1. It can go once a model can
    refuse a format.
    """
    return bool(global_state.get_global_attribute("use_legacy_config", False))
