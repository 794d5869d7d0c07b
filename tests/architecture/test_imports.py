"""Every file keeps the rules of docs/architecture.md; and the checker finds what breaks them."""

import pytest
from rules import DRAWERS, ONLY, OPTIONAL, ORDER, ROOT, WRITING, problems

PACKAGE = ROOT / "reid_attn"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("place", FILES)
def test_a_file_keeps_the_rules(place: str) -> None:
    assert list(problems(place, (PACKAGE / place).read_text())) == []


def test_the_order_of_the_rooms_is_read_from_the_document() -> None:
    assert ORDER[:2] == [["settings", "errors", "storage"], ["attention", "data"]]
    assert ORDER[-1] == ["commands"]
    rooms = {place.partition("/")[0].removesuffix(".py") for place in FILES}
    assert rooms - {"__init__", "__main__"} == {room for group in ORDER for room in group}


@pytest.mark.parametrize(
    ("place", "source", "complaint"),
    [
        ("data/x.py", "from ..attention import names", "data imports attention"),
        ("attention/x.py", "from ..data import images", "attention imports data"),
        ("losses/x.py", "import reid_attn.models.network", "losses imports models"),
        ("models/x.py", "from ..losses.objective import Objective", "models imports losses"),
        ("training/x.py", "from reid_attn import gallery", "training imports gallery"),
        ("evaluation/x.py", "from .. import features", "evaluation imports features"),
        ("reports/deep/x.py", "from ...commands import main", "reports imports commands"),
        ("storage/files.py", "from ..settings import load", "storage imports settings"),
        ("errors.py", "from . import storage", "errors imports storage"),
        ("commands/x.py", "from .. import Embedder", "commands imports Embedder"),
        ("evaluation/ranking.py", "import torch", "not torch"),
        ("evaluation/ranking.py", "from ..storage import read_bytes", "not reid_attn.storage"),
        ("plugins/x.py", "", "plugins has no place"),
        ("data/x.py", "from .images import *", "star import"),
        ("data/x.py", "def f():\n import json", "imports json inside a function"),
        ("data/x.py", "class A:\n async def f(self):\n  from . import images", "inside a function"),
        ("data/__init__.py", "from .images import decode", "differ: ['decode']"),
        ("data/__init__.py", "__all__ = ['decode']", "differ: ['decode']"),
        ("data/x.py", "import logging\nlogging.getLogger().setLevel(1)", "when the module is"),
        ("data/x.py", "for name in 'ab':\n pass", "does something when the module is imported"),
        ("data/x.py", "def f():\n global n\n n = 1", "global variable"),
        ("data/x.py", "KNOWN = {}\ndef f(a):\n KNOWN[a.name] = a", "changes KNOWN"),
        ("data/x.py", "KNOWN: list = []\ndef f(a):\n KNOWN.append(a)", "changes KNOWN"),
        ("data/x.py", "import PIL.Image as I\nI.MAX_IMAGE_PIXELS = None", "patches PIL"),
        ("data/x.py", "from torch import backends as b\ndef f():\n b.cudnn.x, y = 1, 2", "patches"),
        ("data/x.py", "def f():\n import faiss\n faiss.cvar.x += 1", "patches faiss"),
        ("data/x.py", "import torch as t\nx = t.load('x')", "torch.load belongs to models/weights"),
        ("models/x.py", "from torch import load", "torch.load belongs to models/weights"),
        ("data/x.py", "import os.path\ndef f():\n os.replace('a', 'b')", "os.replace belongs to"),
        ("data/images2.py", "import PIL", "PIL belongs to data/images.py"),
    ],
)
def test_a_violation_is_found(place: str, source: str, complaint: str) -> None:
    assert complaint in "; ".join(problems(place, source))


@pytest.mark.parametrize("name", ONLY)
def test_what_has_one_place_is_found_elsewhere(name: str) -> None:
    module, _, member = name.rpartition(".")
    source = f"from {module} import {member} as x" if module else f"import {name}\nx = {name}(1)"
    assert f"{name} belongs to" in "; ".join(problems("reports/x.py", source))
    for place in ONLY[name]:
        place += "x.py" if place.endswith("/") else ""
        assert f"{name} belongs to" not in "; ".join(problems(place, source))


@pytest.mark.parametrize("name", ["print", "eval", "exec", "__import__"])
def test_a_built_in_is_found(name: str) -> None:
    assert f"{name} belongs to" in "; ".join(problems("reports/x.py", f"x = {name}('1')"))


@pytest.mark.parametrize(
    "call",
    [
        *(f"p.{method}(1)" for method in sorted(WRITING)),
        *(f"open(p, {mode!r})" for mode in ("w", "wb", "a", "x", "r+b", "bw", "w+")),
        "p.open('w')",
        "open(p, mode='w')",
        "p.replace(q)",
        "p.rename(q)",
        "p.rename(target=q)",
    ],
)
def test_writing_is_found_outside_storage(call: str) -> None:
    source = f"def f(p, q):\n return {call}"
    assert "which storage/ does" in "; ".join(problems("gallery/local.py", source))
    assert not list(problems("storage/files.py", source))


def test_a_file_is_renamed_by_its_class_in_storage_alone() -> None:
    source = "from pathlib import Path\ndef f(p, q):\n Path.rename(p, q)"
    assert "pathlib.Path.rename belongs to" in "; ".join(problems("gallery/local.py", source))
    assert not list(problems("storage/files.py", source))


@pytest.mark.parametrize("drawer", sorted(DRAWERS))
def test_a_drawer_is_found(drawer: str) -> None:
    assert "drawer" in "; ".join(problems(f"data/{drawer}.py", ""))
    assert "drawer" in "; ".join(problems(f"{drawer}/x.py", ""))


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("commands/x.py", "def f():\n from ..features import Embedder\n print(1)"),
        ("training/x.py", "from .. import __version__, storage\nfrom ..evaluation import evaluate"),
        ("data/x.py", "def f(p, t):\n open(p); p.open('rb'); t.replace('w', 'a'); p.read_text()"),
        ("commands/x.py", "def f(gallery, key):\n gallery.rename(key, 'Anna')"),
        ("data/x.py", "from .. import storage\ndef f(p):\n storage.write_text(p, 'w')"),
        ("data/x.py", "import torch\ndef f(self, a):\n self.x = torch.add(a, a)"),
        ("data/x.py", "NAMES = ['a']\ndef f(a):\n names = [*NAMES]\n names.append(a)"),
        ("neighbours/x.py", "def f():\n import faiss\ndef g(faiss):\n faiss.x = 1"),
        (
            "data/x.py",
            '"""Words."""\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING: import os',
        ),
        ("data/__init__.py", "from .x import a\nfrom ..errors import b\n__all__ = ['a']"),
        *(("neighbours/x.py", f"def f():\n from {name} import x") for name in sorted(OPTIONAL)),
    ],
)
def test_what_is_allowed_is_not_complained_of(place: str, source: str) -> None:
    assert list(problems(place, source)) == []
