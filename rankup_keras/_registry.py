"""Registration of public objects, so that saved models reload with no `custom_objects`."""

import keras

PACKAGE = "rankup_keras"

serializable = keras.saving.register_keras_serializable(package=PACKAGE)
