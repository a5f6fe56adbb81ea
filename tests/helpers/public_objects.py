"""What users can reach under `rankup_keras`, and the examples in its docstrings."""

import importlib
import inspect
import re
import textwrap
from typing import Any

NAMESPACES = (
    "rankup_keras",
    "rankup_keras.callbacks",
    "rankup_keras.data",
    "rankup_keras.datasets",
    "rankup_keras.diagnostics",
    "rankup_keras.distribution",
    "rankup_keras.distribution.experimental",
    "rankup_keras.features",
    "rankup_keras.layers",
    "rankup_keras.losses",
    "rankup_keras.metrics",
    "rankup_keras.models",
    "rankup_keras.optimizers",
    "rankup_keras.serving",
    "rankup_keras.training",
)


def public_objects() -> dict[str, Any]:
    """Full name, as users write it, → class or function; each once."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for namespace in NAMESPACES:
        module = importlib.import_module(namespace)
        for name in dir(module):
            value = getattr(module, name)
            if name.startswith("_") or not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            if inspect.isclass(value) and issubclass(value, BaseException):
                continue  # users catch these; what raises them is documented where it stands
            if value.__module__.split(".")[0] == "rankup_keras" and id(value) not in seen:
                seen.add(id(value))
                found[f"{namespace}.{name}"] = value
    return found


def example(value: Any) -> str:
    """The code of a docstring's `Example:` section, all its blocks together; "" for none."""
    _, _, after = (inspect.getdoc(value) or "").partition("Example:\n")
    section = re.split(r"^[A-Z][\w ]+:$", after, maxsplit=1, flags=re.MULTILINE)[0]
    return "\n".join(map(textwrap.dedent, re.findall(r"```python\n(.*?)```", section, re.DOTALL)))
