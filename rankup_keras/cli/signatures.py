"""Arguments of public classes, read from their source: to import them would load TensorFlow."""

import ast
import builtins
import functools
import importlib
from pathlib import Path
from typing import Any

import rankup_keras

ROOT = Path(rankup_keras.__file__).parent
# Standard modules whose names stand in annotations.
_STANDARD = ("typing", "collections.abc", "pathlib")


def arguments_of(name: str) -> dict[str, tuple[Any, Any]]:
    """The keyword arguments of a class, those of a dataclass too, with their types and defaults.

    Args:
        name: as users write it behind `rk.`, such as `"Categorical"` or `"data.CsvOptions"`.

    Returns:
        Argument → its type and default, `...` where it has none. A class of another package is an
        empty class of the same name, and a default that is no literal `None`.
    """
    *rooms, name = name.split(".")
    file = _file_of(ROOT.joinpath(*rooms), name)
    scope = _Scope(file)
    body = next(n.body for n in _tree(file).body if isinstance(n, ast.ClassDef) and n.name == name)
    init = next((n for n in body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if init is None:
        given: list[tuple[str, ast.expr | None, ast.expr | None]] = [
            (ast.unparse(n.target), n.annotation, n.value)
            for n in body
            if isinstance(n, ast.AnnAssign)
        ]
    else:
        own = init.args.args[1:]
        defaults = [None] * (len(own) - len(init.args.defaults)) + init.args.defaults
        pairs = [*zip(own, defaults, strict=True)]
        pairs += zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        given = [(item.arg, item.annotation, default) for item, default in pairs]
    return {key: (scope.value(kind), _literal(default)) for key, kind, default in given}


def presets() -> dict[str, str]:
    """Named configurations, and the model that each is of."""
    for node in _tree(ROOT / "models" / "presets.py").body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PRESETS":
            items: Any = node.value
            models = [value.elts[0].id for value in items.values]
            return dict(zip(map(ast.literal_eval, items.keys), models, strict=True))
    raise LookupError("There is no PRESETS in models/presets.py.")


@functools.cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _file_of(folder: Path, name: str) -> Path:
    """Where the stubs of packages say that a name comes from."""
    for node in _tree(folder / "__init__.pyi").body:
        if isinstance(node, ast.ImportFrom) and name in {item.name for item in node.names}:
            place = folder.joinpath(*(node.module or "").split("."))
            return _file_of(place, name) if place.is_dir() else place.with_suffix(".py")
    raise LookupError(f"There is no {name!r} in {folder}.")


def _literal(node: ast.expr | None) -> Any:
    if node is None:
        return ...
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


class _Scope(dict[str, Any]):
    """The names that a module's annotations use, looked up as they are asked for."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._tree = _tree(file)

    def value(self, node: ast.expr | None) -> Any:
        if node is None:
            return Any
        # Annotations of this package alone, and no builtins but those that they name.
        code = compile(ast.Expression(node), "annotation", "eval")
        return eval(code, {"__builtins__": {}}, self)

    def __missing__(self, name: str) -> Any:
        for node in self._tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name) and target.id == name:
                    return self.value(node.value)
            if isinstance(node, ast.ImportFrom) and name in {item.name for item in node.names}:
                return _imported(str(node.module), name)
        return getattr(builtins, name, _elsewhere(name))


def _imported(module: str, name: str) -> Any:
    if module in _STANDARD:
        return getattr(importlib.import_module(module), name)
    package, *rest = module.split(".")
    file = ROOT.joinpath(*rest).with_suffix(".py")
    if package != ROOT.name or not file.is_file():
        return _elsewhere(name)
    return _Scope(file)[name]


class _Elsewhere(type):
    """The type of classes that stand for those of other packages, and for their modules."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _elsewhere(name)


def _elsewhere(name: str) -> Any:
    return _Elsewhere(name, (), {})
