"""JSON that every parser reads."""

import json
import math
from collections.abc import Callable
from typing import Any


def strict_json(
    value: Any, indent: int | None = None, default: Callable[[Any], Any] | None = None
) -> str:
    """A value as JSON; NaN and infinity, which Python would write as they are, become null.

    Args:
        value: what `json.dumps` takes.
        indent: spaces of indentation. Defaults to one line.
        default: makes what JSON can hold of other values.
    """

    def without_nan(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: without_nan(each) for name, each in item.items()}
        if isinstance(item, list | tuple):
            return [without_nan(each) for each in item]
        if isinstance(item, float):
            return item if math.isfinite(item) else None
        if default is None or item is None or isinstance(item, str | int):
            return item
        return without_nan(default(item))

    return json.dumps(without_nan(value), indent=indent, ensure_ascii=False, allow_nan=False)
