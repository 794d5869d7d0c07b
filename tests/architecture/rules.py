"""The sentences of docs/architecture.md on imports and state, as a checker of one file's syntax."""

import ast
import builtins
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_SENTENCE = re.search(r"(`[a-z, ]+`\s+←\s+)+`[a-z]+`", (ROOT / "docs/architecture.md").read_text())
ORDER = [group.split(", ") for group in re.findall(r"`(.+?)`", _SENTENCE[0] if _SENTENCE else "")]
RANK = {room: rank for rank, group in enumerate(ORDER) for room in group}

METRIC = tuple(f"evaluation/{name}.py" for name in ("ranking", "scores", "labels", "junk"))
METRIC_MODULES = tuple(f"reid_attn.{file[:-3].replace('/', '.')}." for file in METRIC)
STORAGE = ("storage/",)
WEIGHTS = ("models/weights.py",)
ONLY: dict[str, tuple[str, ...]] = {  # who alone may name a module, a function, or a built-in
    "faiss": ("neighbours/",),
    "sqlite3": ("gallery/local/",),
    **dict.fromkeys(("PIL", "simplejpeg"), ("data/images.py",)),
    **dict.fromkeys(("torch.load", "safetensors"), WEIGHTS),
    "urllib": ("models/published.py",),
    **dict.fromkeys(("argparse", "print"), ("commands/",)),
    **dict.fromkeys(("fcntl", "shutil", "os.open", "os.remove", "os.unlink", "os.rmdir"), STORAGE),
    **dict.fromkeys(("os.rename", "os.replace", "os.mkdir", "os.makedirs", "os.link"), STORAGE),
    "pathlib.Path.rename": STORAGE,  # called so it takes two, as a gallery's `rename` does
    "importlib.import_module": ("__init__.py", "attention/__init__.py", "commands/__init__.py"),
    **dict.fromkeys(("socket", "http", "ftplib", "requests", "httpx", "aiohttp"), ()),
    **dict.fromkeys(("pickle", "marshal", "shelve", "eval", "exec", "__import__"), ()),
    **dict.fromkeys(("tempfile", "torch.save", "numpy.save", "numpy.savetxt", "os.symlink"), ()),
    **dict.fromkeys(("sys.path", "sys.modules", "logging.basicConfig"), ()),
}
WRITING = {"write_text", "write_bytes", "unlink", "rmdir", "mkdir", "touch"}
WRITING |= {"symlink_to", "hardlink_to", "tofile", "save_file", "write_index"}
CHANGING = {"append", "add", "update", "setdefault", "extend", "insert", "pop", "clear", "remove"}
DRAWERS = {"utils", "util", "common", "misc", "helpers", "helper", "tools", "lib", "shared"}
OPTIONAL = {"faiss", "torchreid", "timm", "tensorboard", "onnx", "onnxscript", "onnxruntime"}
OPTIONAL |= {"openvino", "nncf", "fastapi", "uvicorn", "pymilvus", "torch.utils.tensorboard"}
OPTIONAL |= {"h5py", "torchvision", "milvus_lite", "grpc"}
AT_IMPORT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


class Import(NamedTuple):
    """One imported name."""

    node: ast.Import | ast.ImportFrom
    target: str
    """In full, for example `reid_attn.settings.Settings`."""
    local: str


def problems(place: str, source: str) -> Iterator[str]:
    """What the file `place` (below the package) does against the rules, a sentence each."""
    tree = ast.parse(source)
    imports = list(_imports(tree, place))
    names = {i.local: i.target for i in imports}
    yield from _wrong_rooms(place, imports)
    yield from _wrong_places(place, tree, names)
    yield from _wrong_imports(place, tree, imports)
    yield from _state(tree, names)


def _imports(tree: ast.Module, place: str) -> Iterator[Import]:
    package = ["reid_attn", *place.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node, alias.name, alias.asname or alias.name)
                if not alias.asname:
                    yield Import(node, *[alias.name.partition(".")[0]] * 2)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            for alias in node.names:
                target = ".".join([*above, *filter(None, [node.module]), alias.name])
                yield Import(node, target, alias.asname or alias.name)


def _wrong_rooms(place: str, imports: list[Import]) -> Iterator[str]:
    own = place.partition("/")[0].removesuffix(".py")
    if DRAWERS.intersection(re.split(r"[/.]", place)):
        yield f"{place} is a drawer, not a room"
    elif own not in RANK and own not in ("__init__", "__main__"):
        yield f"the room {own} has no place in docs/architecture.md"
    for target in (i.target for i in imports):
        library, room = (*target.split("."), "")[:2]
        ours = library == "reid_attn" and room not in (own, "errors", "__version__")
        if ours and RANK.get(room, len(ORDER)) >= RANK.get(own, len(ORDER)):
            yield f"{own} imports {room}, which does not stand to its left"
        known = library in ("numpy", *sys.stdlib_module_names) or room == "errors"
        if place in METRIC and not known and not target.startswith(METRIC_MODULES):
            yield f"the metric needs numpy and errors alone, not {target}"


def _wrong_places(place: str, tree: ast.Module, names: dict[str, str]) -> Iterator[str]:
    used = {*names.values(), *(_full_name(node, names) for node in ast.walk(tree))}
    for name, allowed in ONLY.items():
        here = any(place == a or (a.endswith("/") and place.startswith(a)) for a in allowed)
        if not here and any(f"{use}.".startswith(f"{name}.") for use in used):
            yield f"{name} belongs to {' and '.join(allowed) or 'nobody'}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not place.startswith(STORAGE) and _writes(node, names):
            yield f"line {node.lineno} writes, renames or removes a file, which storage/ does"


def _full_name(node: ast.AST, names: dict[str, str]) -> str:
    """`torch.load` for a use of what was imported, or of a built-in; else empty."""
    if isinstance(node, ast.Attribute):
        owner = _full_name(node.value, names)
        return f"{owner}.{node.attr}" if owner else ""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id if hasattr(builtins, node.id) else "")
    return ""


def _writes(call: ast.Call, names: dict[str, str]) -> bool:
    name = _full_name(call.func, names)
    method = call.func.attr if isinstance(call.func, ast.Attribute) else name
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if method == "open":
        modes = (str(arg.value) for arg in given if isinstance(arg, ast.Constant))
        return any(re.fullmatch(r"[rbt]*[wax+][rbt+]*", mode) for mode in modes)
    path_replace = method == "replace" and len(call.args) == len(given) == 1  # a text's takes two
    path_rename = method == "rename" and len(given) == 1  # a gallery's takes two
    moves = path_replace or path_rename
    return (method in WRITING or moves) and not name.startswith("reid_attn.storage.")


def _wrong_imports(place: str, tree: ast.Module, imports: list[Import]) -> Iterator[str]:
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    inside = {child for function in functions for child in ast.walk(function)}
    for node, target, local in imports:
        if local == "*":
            yield f"star import of {target}"
        optional = any(f"{target}.".startswith(f"{name}.") for name in OPTIONAL)
        if node in inside and not optional and not place.startswith("commands/"):
            yield f"line {node.lineno} imports {target} inside a function"
    if place.endswith("__init__.py"):
        own = {i.local for i in imports if isinstance(i.node, ast.ImportFrom) and i.node.level == 1}
        lines = [text for text in map(ast.unparse, tree.body) if text.startswith("__all__ = [")]
        public = {name for line in lines for name in ast.literal_eval(line[10:])}
        if own != public:
            yield f"__all__ and the names imported from the room differ: {sorted(own ^ public)}"


def _state(tree: ast.Module, names: dict[str, str]) -> Iterator[str]:
    for statement in tree.body:
        text = ast.unparse(statement)
        plain = text.startswith(('"', "'", "if TYPE_CHECKING:", "if __name__ == '__main__':"))
        if not (plain or isinstance(statement, AT_IMPORT)):
            yield f"line {statement.lineno} does something when the module is imported"
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Global):
            yield f"line {node.lineno} has a global variable"
    constants = [n for n in tree.body if isinstance(n, ast.Assign | ast.AnnAssign)]
    shared = {
        name.id
        for node in constants
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and _is_stored(name)
    }
    parameters = {n.arg for n in nodes if isinstance(n, ast.arg)}  # may be called like an import
    members = [n for n in nodes if isinstance(n, ast.Attribute | ast.Subscript)]
    for member in members:
        name = _root(member)
        grown = isinstance(member, ast.Attribute) and member.attr in CHANGING
        if name in shared and (grown or _is_stored(member)):
            yield f"line {member.lineno} changes {name}, which the whole module shares"
        library = names.get(name, "reid_attn").partition(".")[0]
        if library != "reid_attn" and name not in parameters and _is_stored(member):
            yield f"line {member.lineno} patches {library}"


def _is_stored(node: ast.AST) -> bool:
    return not isinstance(getattr(node, "ctx", ast.Load()), ast.Load)


def _root(expression: ast.expr) -> str:
    """`torch` of `torch.backends.cudnn`."""
    while isinstance(expression, ast.Attribute | ast.Subscript):
        expression = expression.value
    return expression.id if isinstance(expression, ast.Name) else ""
