"""Which attention blocks the settings put where."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from .. import attention
from ..errors import UsageError
from ..settings import AttentionSettings

WITHOUT_STAGES = {"head", "classifier"}
OUTSIDE_BOTTLENECKS = {"stage", *WITHOUT_STAGES}
EVERYWHERE = AttentionSettings.model_fields["stages"].default


class BlockPlacer:
    """Builds the blocks that the settings ask for in one slot of one stage."""

    def __init__(self, blocks: tuple[AttentionSettings, ...]) -> None:
        self.places = [(block.name, place) for block in blocks for place in _places(block)]

    def __call__(
        self,
        slot: str,
        stage: int,
        channels: int,
        size: tuple[int, int],
        from_end: int = 1,
        **options: Any,
    ) -> nn.Module | None:
        """The blocks for this slot in the order of the settings, or None."""
        built = [
            attention.build(name, channels, size, **place.options, **options)
            for name, place in self.places
            if place.slot == slot
            and (stage in place.stages or slot == "head")
            and place.reaches(from_end)
        ]
        return nn.Sequential(*built) if built else None

    def classifier(self, channels: int, identities: int) -> nn.Module | None:
        """The block that stands for the classifier, if one is named; `UsageError` for several."""
        found = [(name, place) for name, place in self.places if place.slot == "classifier"]
        if len(found) > 1:
            names = " and ".join(f"'{name}'" for name, _ in found)
            raise UsageError(f"a network has one classifier, and model.attention names {names}")
        for name, place in found:
            options = {**place.options, "identities": identities}
            return attention.build(name, channels, (1, 1), **options)
        return None

    def refuse_beyond(self, slots: Collection[str], backbone: str) -> None:
        """`UsageError` when a block stands in a slot that `backbone` does not have."""
        for name, place in self.places:
            if place.slot not in slots:
                raise UsageError(
                    f"the block '{name}' would stand in slot '{place.slot}', which {backbone} does "
                    f"not have: its slots are {' and '.join(slots)}"
                )


def _places(block: AttentionSettings) -> list[attention.Place]:
    """The slot of the settings, or those of the paper as far as the settings go."""
    declared = attention.block_class(block.name)
    if block.slot is None:
        places = _narrowed(block, declared.published)
    elif block.slot in declared.slots:
        needed = next((p.options for p in declared.published if p.slot == block.slot), {})
        options = {**needed, **block.options}
        places = [attention.Place(block.slot, block.stages, block.blocks, options)]
    else:
        raise UsageError(
            f"the block '{block.name}' does not fit slot '{block.slot}'; "
            f"its slots: {', '.join(declared.slots)}"
        )
    _refuse_idle(block, places)
    return places


def _narrowed(
    block: AttentionSettings, published: Sequence[attention.Place]
) -> list[attention.Place]:
    """The places of the paper in the settings' stages and bottlenecks."""
    return [
        replace(
            place,
            stages=stages,
            blocks=place.blocks if block.blocks == "all" else block.blocks,
            options={**place.options, **block.options},
        )
        for place in published
        if (stages := tuple(stage for stage in place.stages if stage in block.stages))
        or place.slot in WITHOUT_STAGES
    ]


def _refuse_idle(block: AttentionSettings, places: Sequence[attention.Place]) -> None:
    """`UsageError` for settings that would change nothing, or put the block nowhere."""
    if not any(place.stages for place in places):
        raise UsageError(
            f"the block '{block.name}' would stand nowhere: its paper puts it into none of the "
            f"stages {list(block.stages)}; name a slot to put it there all the same"
        )
    slots = {place.slot for place in places}
    for option, idle, default in (
        ("blocks", OUTSIDE_BOTTLENECKS, "all"),
        ("stages", WITHOUT_STAGES, EVERYWHERE),
    ):
        if slots <= idle and getattr(block, option) != default:
            raise UsageError(
                f"the block '{block.name}' stands in slot '{', '.join(sorted(slots))}', which has "
                f"no {option}: leave that option out"
            )
