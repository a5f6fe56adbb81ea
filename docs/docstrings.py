"""Docstrings as pages show them best: filled in, and the arguments of calls as a list."""

import importlib
import inspect
import re
from typing import Any

import griffe


class FilledIn(griffe.Extension):
    """The models share parts of their docstrings, such as `{shared}`, which each class fills in."""

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Takes the finished one from the class itself."""
        if cls.docstring is None:
            return
        if re.search(r"^\s*\{\w+\}$", cls.docstring.value, re.MULTILINE):
            value = getattr(importlib.import_module(cls.module.path), cls.name)
            cls.docstring.value = inspect.getdoc(value) or ""
        cls.docstring.value = _CALL.sub(_as_list, cls.docstring.value)


# A section that only Keras's docstrings have: its lines would be one paragraph.
_CALL = re.compile(r"^Call arguments:\n(?:(?: {4}.*)?\n)+", re.MULTILINE)


def _as_list(section: re.Match[str]) -> str:
    return re.sub(r"^( {4})(?=\S)", r"\1- ", section[0], flags=re.MULTILINE)
