"""What is installed: the settings files, the public names, the version, and the command line."""

import configparser
import importlib
import re
import subprocess
import sys

import pytest
from rules import ROOT

import reid_attn
from reid_attn.commands import COMMANDS

HELP = """
import argparse, sys
from reid_attn.commands import _parser

def every(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from every(child)

for parser in every(_parser()):
    assert "example" in parser.format_help(), f"{parser.prog} --help has no example"
    print(parser.prog)
print(*(name for name in ("torch", "numpy", "matplotlib", "rich") if name in sys.modules))
"""


def python(program: str, *arguments: str) -> str:
    """What `program` prints in a Python of its own."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_pyproject_holds_the_build_system_and_nothing_else() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    assert [line.partition(" ")[0] for line in lines] == [
        "[build-system]",
        "requires",
        "build-backend",
    ]


def test_the_newest_version_of_the_changelog_is_ours() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert text.startswith("# Changelog\n")
    newest = re.search(r"^## (\S+) \((unreleased|\d{4}-\d\d-\d\d)\)$", text, re.MULTILINE)
    assert newest
    assert newest[1] == reid_attn.__version__


def test_setup_takes_the_version_and_the_entry_point_from_the_package(
    setup: configparser.ConfigParser,
) -> None:
    assert setup["metadata"]["version"] == "attr: reid_attn.__version__"
    assert "reid-attn = reid_attn.commands:main" in setup["options.entry_points"]["console_scripts"]
    assert (ROOT / "reid_attn" / setup["options.package_data"]["reid_attn"]).is_file()


def test_importing_the_package_loads_no_library() -> None:
    program = (
        "import sys; before = {*sys.modules}; import reid_attn; print(*{*sys.modules} - before)"
    )
    loaded = {name.partition(".")[0] for name in python(program).split()}
    assert loaded - set(sys.stdlib_module_names) == {"reid_attn"}


def test_a_gallery_opens_without_torch() -> None:
    loaded = python("import sys; import reid_attn.gallery; print(*sys.modules)").split()
    assert "numpy" in loaded
    assert "torch" not in loaded


def test_the_public_names_are_offered() -> None:
    assert reid_attn.__all__ == ["Embedder", "Gallery", "attention", "build_network", "evaluate"]
    assert set(reid_attn.__all__) < set(dir(reid_attn))
    homes = [f"reid_attn.{room}" for room in ("features", "gallery", "attention", "models")]
    for name, home in zip(reid_attn.__all__, [*homes, "reid_attn.evaluation"], strict=True):
        found, room = getattr(reid_attn, name), importlib.import_module(home)
        assert found is (room if home.endswith(name) else getattr(room, name))


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match=r"module 'reid_attn' has no attribute 'Embeder'"):
        _ = reid_attn.Embeder


def test_every_help_has_an_example_and_waits_for_no_library() -> None:
    *commands, loaded = python(HELP).splitlines()
    assert {"reid-attn", *(f"reid-attn {name}" for name in COMMANDS)} < {*commands}
    assert "reid-attn gallery add" in commands
    assert loaded == ""


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "reid_attn", "--help"]
    help_text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert help_text.startswith("usage: reid-attn ")
