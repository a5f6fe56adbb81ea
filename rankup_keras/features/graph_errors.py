"""Errors of checks within graphs and pipelines, without what TensorFlow puts around them."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

# A check's sentence, and the values that follow it; those of TensorFlow's own checks do not.
_CHECK = re.compile(r"assertion failed: \[(?P<text>.*?[.:])\s*\](?P<values>[^\n]*)", re.DOTALL)
# An exception of Python code that a pipeline ran; `rankup_keras.data` raises such.
_DATA = re.compile(r"DataError: [^\n]*")


def sentence(error: tf.errors.OpError) -> str | None:
    """What a check of this package says, in the error that TensorFlow made of it."""
    text = str(error)
    if found := _DATA.search(text):
        return found[0]
    found = _CHECK.search(text)
    if found is None:
        return None
    values = f"{found['values'].rstrip():.120}" if found["text"].endswith(":") else ""
    return found["text"].replace("\\'", "'").replace("..", ".") + values


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raises `ValueError` with the sentence of a check that failed, where there is one."""
    try:
        yield
    except tf.errors.OpError as error:
        told = sentence(error)
        if told is None:
            raise
        raise ValueError(told) from None
