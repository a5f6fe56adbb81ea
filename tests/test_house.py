"""The rules that keep the rooms apart, checked on the package's syntax trees."""

import ast
import dataclasses
import functools
import importlib
import inspect
import pathlib
import pkgutil
import re

import rankup_keras
from tests import mirror
from tests.helpers.public_objects import NAMESPACES, public_objects

PACKAGE = pathlib.Path(rankup_keras.__file__).parent

# A room imports from those before it, from its neighbors in the same line, and from itself.
ROOMS = (
    "_registry strict_json text_tables durable",
    "compat",
    "kernels",
    "features",
    "layers",
    "optimizers metrics losses",
    "models",
    "diagnostics",
    "training",
    "callbacks",
    "distribution",
    "serving",
    "data",
    "datasets",
    "cli",
    # What stands in the top folder uses all of them.
    "__init__ demo",
)
# (importing module, later room) → why it may import from there.
OUT_OF_ORDER = {
    ("models.ranking_model", "serving"): "`model.export` writes what `rk.export` writes",
}

PRIVATE_MODULES = re.compile(
    r"(keras|keras_rs)\.src\b|tensorflow\.python\b|tensorflow\.compiler\.(.+\.)?python\b|jax\._src\b"
    r"|\w[\w.]*\._"
)
# Documented by the language, although they begin with an underscore.
DOCUMENTED = {"_asdict", "_replace", "_fields", "_make", "_exit"}
EQUATIONS = ("layers.tokens", "layers.mixers", "layers.towers")
PLATFORM_TESTS = {"on_tpu", "folds", "by_ops", "fuses", "has_accelerator", "in_xla", "for_tpu"}
PLATFORM_MODULES = ("tensorflow", "rankup_keras.kernels.program", "rankup_keras.compat.xla")
MAX_LINES = 400


@dataclasses.dataclass(eq=False)
class Module:
    name: str  # without the package's, such as `layers.mixers.residual`
    path: pathlib.Path
    tree: ast.Module

    def at(self, node):
        return f"{self.path.relative_to(PACKAGE.parent)}:{node.lineno}"

    def imports(self):
        """(node, module, imported name or "") of every import, wherever it stands."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node, alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node, node.module or "", alias.name) for alias in node.names)

    @functools.cached_property
    def bound(self):
        """Name in this module, or in the stub of this package, → full name of what it imports."""
        stub = self.path.with_suffix(".pyi")
        trees = [self.tree, *([ast.parse(stub.read_text())] if stub.exists() else [])]
        found = {}
        for node in (node for tree in trees for node in ast.walk(tree)):
            if isinstance(node, ast.ImportFrom):
                # Relative ones stand in the stubs of packages.
                package = "rankup_keras." + self.name.removesuffix("__init__")
                start = package.rstrip(".") + "." if node.level else ""
                source = f"{start}{node.module or ''}".rstrip(".")
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{source}.{alias.name}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    found[alias.asname or first] = alias.name if alias.asname else first
        return found

    @functools.cached_property
    def classes(self):
        return {n.name: n for n in ast.walk(self.tree) if isinstance(n, ast.ClassDef)}


@functools.cache
def modules():
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts)
        found[name] = Module(name, path, ast.parse(path.read_text()))
    return found


def outside_compat():
    return [m for m in modules().values() if m.name.split(".")[0] != "compat"]


def none_of(problems):
    assert not problems, f"{len(problems)} places:\n" + "\n".join(problems)


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def dotted(node):
    """`a.b.c` of an attribute chain, else ""."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def test_equations_neither_import_tensorflow_nor_ask_for_the_platform():
    problems = []
    for module in modules().values():
        if not module.name.startswith(EQUATIONS):
            continue
        for node, source, name in module.imports():
            if f"{source}.".startswith(tuple(f"{name}." for name in PLATFORM_MODULES)):
                problems.append(f"{module.at(node)} imports {source}")
            elif name in PLATFORM_TESTS:
                problems.append(f"{module.at(node)} imports the platform test {name}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and node.attr in PLATFORM_TESTS:
                problems.append(f"{module.at(node)} asks {dotted(node)}")
    none_of(problems)


def test_private_modules_are_imported_in_compat_alone():
    problems = []
    for module in outside_compat():
        for node, source, name in module.imports():
            full = f"{source}.{name}" if name else source
            if not full.startswith("rankup_keras") and PRIVATE_MODULES.match(full):
                problems.append(f"{module.at(node)} imports {full}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                full = f"{module.bound.get(node.value.id, node.value.id)}.{node.attr}"
                if re.match(r"(keras|keras_rs)\.src$|tensorflow\.python$", full):
                    problems.append(f"{module.at(node)} reads {full}")
    none_of(problems)


class PrivateReads(ast.NodeVisitor):
    """Finds reads of `x._name` of objects that the reading class did not make."""

    def __init__(self, module):
        self.module, self.problems, self.inside = module, [], []

    def visit_ClassDef(self, node):
        self.inside.append(own_names(self.module, node))
        self.generic_visit(node)
        self.inside.pop()

    def visit_Attribute(self, node):
        if is_private(node.attr):
            self.check(node, node.value, node.attr)
        self.generic_visit(node)

    def visit_Call(self, node):
        by_name = dotted(node.func) in ("getattr", "setattr", "hasattr")
        if by_name and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
            name = node.args[1].value
            if isinstance(name, str) and is_private(name):
                self.check(node, node.args[0], name)
        self.generic_visit(node)

    def check(self, node, owner, name):
        own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
        own = own or (isinstance(owner, ast.Call) and dotted(owner.func) == "super")
        if not (own and self.inside and name in self.inside[-1]):
            self.problems.append(f"{self.module.at(node)} {ast.unparse(owner)[:40]}.{name}")


def own_names(module, cls, seen=()):
    """Names with an underscore that a class of the package, or its bases there, define."""
    found = set()
    for node in cls.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    for node in ast.walk(cls):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                found.add(node.attr)
        elif isinstance(node, ast.Call) and dotted(node.func) == "object.__setattr__":
            found |= {arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant)}
    for base in cls.bases:
        where, node = class_named(module, dotted(base))
        if node is not None and (where.name, node.name) not in seen:
            found |= own_names(where, node, (*seen, (where.name, node.name)))
    return found


def class_named(module, name):
    """(module, node) of a class of the package, by the name that a module has for it."""
    if name in module.classes:
        return module, module.classes[name]
    first, _, rest = name.partition(".")
    full = module.bound.get(first, first) + (f".{rest}" if rest else "")
    parts = full.split(".")
    if parts[0] != "rankup_keras":
        return module, None
    where = modules().get(".".join(parts[1:-1]) or "__init__")
    return class_named(where, parts[-1]) if where and where is not module else (module, None)


def test_private_attributes_of_others_are_read_in_compat_alone():
    problems = []
    for module in outside_compat():
        visitor = PrivateReads(module)
        visitor.visit(module.tree)
        problems += visitor.problems
    none_of(problems)


def test_no_class_overrides_a_private_method_of_a_foreign_one():
    problems = []
    for module in outside_compat():
        loaded = importlib.import_module(f"rankup_keras.{module.name}".removesuffix(".__init__"))
        for name, node in module.classes.items():
            value = getattr(loaded, name, None)
            for base in getattr(value, "__mro__", ())[1:]:
                if base.__module__.split(".")[0] in ("rankup_keras", "builtins", "typing"):
                    continue
                for own in sorted(set(vars(value)) & set(vars(base))):
                    if is_private(own) and not own.startswith("_abc_"):
                        problems.append(f"{module.at(node)} {name}.{own} is {base.__name__}'s")
    none_of(problems)


def test_the_order_of_axes_is_no_argument_of_public_objects():
    problems = []
    for name, value in public_objects().items():
        members = [(name, value)]
        if inspect.isclass(value):
            members += [(f"{name}.{n}", f) for n, f in vars(value).items() if inspect.isfunction(f)]
        problems += [
            full
            for full, member in members
            if "tokens_first" in inspect.signature(member).parameters
        ]
    none_of(problems)


def test_no_exported_object_hides_a_submodule():
    problems = []
    for namespace in NAMESPACES:
        package = importlib.import_module(namespace)
        for info in pkgutil.iter_modules(getattr(package, "__path__", [])):
            value = getattr(package, info.name, None)
            if value is not None and not inspect.ismodule(value):
                problems.append(f"{namespace}.{info.name} hides the module of that name")
    none_of(problems)


def test_no_file_is_too_long():
    lengths = {m: len(m.path.read_text().splitlines()) for m in modules().values()}
    none_of([f"{m.path}: {n} lines" for m, n in lengths.items() if n > MAX_LINES])


def room(name):
    first = name.split(".")[0]
    return next((i for i, rooms in enumerate(ROOMS) if first in rooms.split()), None)


def test_rooms_import_from_rooms_before_them():
    problems, unused = [], set(OUT_OF_ORDER)
    for module in modules().values():
        here = room(module.name)
        assert here is not None, f"{module.path} is in no room: add it to ROOMS"
        for node, source, name in module.imports():
            if source.split(".")[0] != "rankup_keras":
                continue
            inner = source.partition(".")[2] or name
            there = room(inner)
            if there is None or there <= here:
                continue
            allowed = (module.name, inner.split(".")[0])
            unused.discard(allowed)
            if allowed not in OUT_OF_ORDER:
                problems.append(f"{module.at(node)} imports rankup_keras.{inner}")
    none_of(problems + [f"OUT_OF_ORDER is not needed: {pair}" for pair in sorted(unused)])


def test_tests_mirror_the_package():
    missing, explained = mirror.without_tests(), mirror.EXPLAINED
    problems = [f"{name} has no test file" for name in missing if name not in explained]
    problems += [
        f"{name} is explained, and not missing" for name in explained.keys() - set(missing)
    ]
    problems += [
        f"{name}: no {where}"
        for name, (where, _) in explained.items()
        if not (mirror.ROOT / where).exists()
    ]
    none_of(problems)
