"""Docstrings that are filled in when a class is made, as they are then."""

import importlib
import inspect
import re
from typing import Any

import griffe


class FilledIn(griffe.Extension):
    """The models share parts of their docstrings, such as `{shared}`."""

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Takes the finished one from the class itself."""
        if cls.docstring and re.search(r"^\s*\{\w+\}$", cls.docstring.value, re.MULTILINE):
            value = getattr(importlib.import_module(cls.module.path), cls.name)
            cls.docstring.value = inspect.getdoc(value) or ""
