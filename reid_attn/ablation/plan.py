"""What an ablation trains: rows (a block in a place) × seeds × folds, under one recipe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from .. import attention, settings, storage
from ..attention import Place
from ..errors import UsageError, nearest
from ..settings import AttentionSettings, Settings, Slot
from .folds import Fold, make_folds

BASELINE = "none"
PLAN = "plan.json"
PLACES = ("published", "common")
STAGES = (1, 2, 3, 4)
COMMON = tuple(slot for slot in get_args(Slot) if slot != "classifier")

Options = Mapping[str, Mapping[str, Any]]
"""Block -> its own options."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    recipe: Settings
    blocks: tuple[str, ...]
    """Empty: all."""
    seeds: int
    folds: int
    output: Path
    place: Literal["both", "published", "common"] = "both"
    common: Slot = "stage"
    """`stage` is the slot that nearly all fit, and gets at most four blocks, not sixteen."""
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A block in a place, or the baseline. Rows of equal `key` share their runs."""

    key: str
    block: str
    places: tuple[Place, ...] = ()
    attention: tuple[AttentionSettings, ...] = ()
    refused: str = ""
    """Why this is not trained, or empty."""

    def where(self) -> str:
        """`stage 1–4`, for people."""
        return ", ".join(_described(place) for place in self.places)


@dataclass(frozen=True)
class Run:
    """One training and its evaluation."""

    row: Row
    seed: int
    fold: Fold
    folder: Path
    settings: Settings


@dataclass(frozen=True)
class Plan:
    """Everything to train, and the tables that it fills."""

    recipe: Settings
    """Without attention."""
    tables: Mapping[str, tuple[Row, ...]]
    """`published`, `common` or both; the baseline first."""
    seeds: tuple[int, ...]
    folds: tuple[Fold, ...]
    output: Path
    common: Slot
    options: Options

    def rows(self) -> list[Row]:
        """What is trained, the baseline first, each once."""
        rows = {row.key: row for rows in self.tables.values() for row in rows if not row.refused}
        return list(rows.values())

    def runs(self) -> Iterator[Run]:
        """In an order in which comparisons become complete early: a seed over all folds first."""
        for seed in self.seeds:
            for fold in self.folds:
                for row in self.rows():
                    yield self.run(row, seed, fold)

    def run(self, row: Row, seed: int, fold: Fold) -> Run:
        """The run of one row, with its folder and settings."""
        name = f"{row.key}-seed{seed}-{fold.name}"
        data = self.recipe.data.model_copy(update={"source": fold.source, "test": ""})
        model = self.recipe.model.model_copy(update={"attention": row.attention})
        own = {"name": name, "seed": seed, "data": data, "model": model}
        return Run(row, seed, fold, self.output / "runs" / name, self.recipe.model_copy(update=own))

    def identity(self) -> dict[str, Any]:
        """What all runs of a folder share. Blocks and seeds may be added later."""
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "folds": {f.name: storage.sha256((f.table or f.source).encode()) for f in self.folds},
            "common slot": self.common,
            "options": {block: dict(own) for block, own in self.options.items()},
        }


def make_plan(request: Request) -> Plan:
    """The plan of a request; nothing is written.

    Raises:
        UsageError: an unknown block, options for a block that is not trained, attention in the
            recipe, or folds that cannot be made.
        DataError: the data set cannot be used.
    """
    recipe, names = request.recipe, request.blocks or tuple(attention.names())
    _check(request, names)
    options = {block: request.options.get(block, {}) for block in names}
    folds = make_folds(
        recipe.data.source,
        recipe.data.camera_pattern,
        request.folds,
        recipe.seed,
        request.output / "folds",
    )
    tables = {
        place: (
            Row(BASELINE, ""),
            *(_row(block, place, request.common, options[block]) for block in names),
        )
        for place in (PLACES if request.place == "both" else (request.place,))
    }
    seeds = tuple(range(recipe.seed, recipe.seed + request.seeds))
    return Plan(recipe, tables, seeds, tuple(folds), request.output, request.common, options)


def _check(request: Request, names: tuple[str, ...]) -> None:
    if request.recipe.model.attention:
        raise UsageError(
            "the recipe of an ablation is the network without attention: take a configuration "
            "without it, or add model.attention=[] (options of blocks go into --options FILE)"
        )
    if request.seeds < 1:
        raise UsageError(f"--seeds {request.seeds}: use at least 1")
    if request.common not in COMMON:
        raise UsageError(f"--common {request.common}: use one of {', '.join(COMMON)}")
    for block in names:
        attention.block_class(block)
    for block in request.options:
        if block not in names:
            raise UsageError(
                f"--options names '{block}', which is not trained{nearest(block, names)}"
            )


def read_options(path: Path) -> Options:
    """Block -> options, from a YAML file such as `rga: {identity_start: true}`."""
    options = settings.read(path)
    for block, own in options.items():
        if not isinstance(own, dict):
            raise UsageError(f"{path}: '{block}' must hold options, as in rga: {{cha_ratio: 4}}")
    return options


def _row(block: str, place: str, slot: Slot, options: Mapping[str, Any]) -> Row:
    declared = attention.block_class(block)
    if place == "published":
        own = AttentionSettings(name=block, options=dict(options))
        return Row(block, block, declared.published, (own,))
    common = Place(slot, STAGES)
    if slot not in declared.slots:
        reason = f"does not fit slot {slot} (its slots: {', '.join(declared.slots)})"
        return Row(f"{block}-{slot}", block, (common,), refused=reason)
    own = AttentionSettings(name=block, slot=slot, stages=STAGES, options=dict(options))
    same = [(p.slot, tuple(p.stages), p.blocks) for p in declared.published] == [
        (common.slot, common.stages, common.blocks)
    ]
    return Row(block if same else f"{block}-{slot}", block, (common,), (own,))


def _described(place: Place) -> str:
    if place.slot in ("head", "classifier"):
        return place.slot
    first, *_, last = (*place.stages, place.stages[-1])
    if len(place.stages) > 1 and place.stages == tuple(range(first, last + 1)):
        stages = f"{first}–{last}"
    else:
        stages = ", ".join(map(str, place.stages))
    return f"{place.slot} {stages}" + (" (last of each)" if place.blocks == "last" else "")
