"""The documents hold: commands parse, Python runs, settings resolve, paths and links exist."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from reid_attn import __version__
from reid_attn.commands import COMMANDS, _parse
from reid_attn.data.synthetic import _plan
from reid_attn.errors import UsageError
from reid_attn.gallery.gallery import KEEP_DAYS
from reid_attn.settings import load

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("scripts/*.md")])
CONFIGURATIONS = sorted(ROOT.glob("configs/**/*.yaml"))

Document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


def blocks(document: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.M | re.S)


def lines(language: str) -> list[str]:
    """All lines of all blocks of one language, each once."""
    found = [line for d in DOCUMENTS for block in blocks(d, language) for line in block.split("\n")]
    return sorted({line for line in found if line})


def in_heads() -> list[str]:
    """The commands in the head comments of the configurations."""
    heads = [path.read_text() for path in CONFIGURATIONS]
    return sorted(line for head in heads for line in re.findall(r"^# +(reid-attn .+)$", head, re.M))


def check_command(line: str) -> None:
    """Raise unless the line calls a script that exists, or `reid-attn` as its parser wants it."""
    program, *words = shlex.split(line)
    if program == "torchrun":
        program, words = "reid-attn", words[words.index("reid_attn") + 1 :]
    if program == "reid-attn":
        parsed = _parse(words)
        if getattr(parsed, "config", None):
            load(ROOT / parsed.config, parsed.overrides)
    elif program != ".":  # which enters the virtual environment
        assert program.startswith("scripts/")
        assert os.access(ROOT / program, os.X_OK)


@pytest.mark.parametrize("line", [*lines("sh"), *in_heads()])
def test_command(line: str) -> None:
    check_command(line)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("reid-attn evaluate runs/quickstart --flop", SystemExit),
        ("reid-attn evaluate runs/quickstart extra", SystemExit),
        ("reid-attn gallery find people", SystemExit),
        ("reid-attn train configs/quickstart.yaml training.epoch=5", UsageError),
        ("reid-attn train configs/slowstart.yaml", UsageError),
        ("scripts/slowstart", AssertionError),
        ("scripts/README.md", AssertionError),
        ("sudo reboot", AssertionError),
    ],
)
def test_wrong_command_is_noticed(line: str, error: type[BaseException]) -> None:
    with pytest.raises(error):
        check_command(line)


@pytest.mark.parametrize(
    ("name", "block"),
    [(path.name, block) for path in DOCUMENTS for block in blocks(path, "python")],
)
def test_python(
    name: str,
    block: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if "runs/quickstart" in block:
        furnish(tmp_path, request.getfixturevalue("trained"), request.getfixturevalue("sample"))
    monkeypatch.chdir(tmp_path)
    exec(compile(block, name, "exec"), {})


def furnish(folder: Path, run: Path, sample: Path) -> None:
    """Put the run and the pictures that the documents speak of into `folder`."""
    (folder / "runs").mkdir()
    (folder / "runs/quickstart").symlink_to(run)
    pictures = sorted((sample / "query").glob("*.jpg"))
    for name, picture in zip(("a", "b", "anna", "query"), pictures, strict=False):
        shutil.copy(picture, folder / f"{name}.jpg")


@Document
def test_settings(document: Path, tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for block in blocks(document, "yaml"):
        (tmp_path / "own.yaml").write_text(block)
        load(tmp_path / "own.yaml")


@Document
def test_links(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    paths = [document.parent / target for target in targets if "://" not in target]
    assert not [path for path in paths if not path.exists()]


@Document
def test_paths(document: Path) -> None:
    text = document.read_text()
    named = re.findall(r"\b(?:configs|docs|reid_attn|scripts|tests)/[a-z0-9_/.-]+\b", text)
    assert not [path for path in named if not (ROOT / path).exists() and "docs/results" not in path]


def test_examples_are_of_the_sample_of_the_quickstart(capsys: pytest.CaptureFixture[str]) -> None:
    """Which they find in its folder, and do not draw another set into."""
    (drawn,) = re.findall(r"^reid (sample .+)$", (ROOT / "scripts/quickstart").read_text(), re.M)
    sample = _parse(shlex.split(drawn.replace("$sample", "data/sample")))
    shots = _plan(sample.persons, sample.cameras, sample.pictures)
    known = {f"{sample.folder}/{shot.name}" for shot in shots}
    commands = lines("sh")
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            _parse([name, "--help"])
        commands += [line.strip() for line in capsys.readouterr().out.split("\n")]
    named = re.findall(r"data/sample/\S+\.jpg", "\n".join(commands))
    assert named
    assert set(named) <= known
    for line in commands:
        if line.startswith(f"reid-attn sample {sample.folder} "):
            assert vars(_parse(shlex.split(line)[1:])) == vars(sample), line


def test_modules_of_the_architecture() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    modules = re.findall(r"\b[a-z]+/[a-z0-9_]+\.py\b", text)
    assert len(modules) > 20
    assert not [module for module in modules if not (ROOT / "reid_attn" / module).exists()]


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_configuration(path: Path) -> None:
    load(path)
    assert len(path.read_text().splitlines()) <= 25


def test_changelog_knows_the_version() -> None:
    assert f"\n## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_readme_tells_how_long_a_gallery_keeps() -> None:
    text = (ROOT / "README.md").read_text()
    assert f"A picture is found for {KEEP_DAYS} days and no longer" in text
