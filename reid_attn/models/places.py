"""Which attention blocks the settings put where."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from torch import nn

from .. import attention
from ..errors import UsageError
from ..settings import AttentionSettings


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
        """The block that stands for the classifier, if one is named."""
        for name, place in self.places:
            if place.slot == "classifier":
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
    """The slot of the settings, or those of the paper as far as the settings' stages go."""
    declared = attention.block_class(block.name)
    if block.slot is None:
        return [
            replace(
                place,
                stages=tuple(stage for stage in place.stages if stage in block.stages),
                options={**place.options, **block.options},
            )
            for place in declared.published
        ]
    if block.slot not in declared.slots:
        raise UsageError(
            f"the block '{block.name}' does not fit slot '{block.slot}'; "
            f"its slots: {', '.join(declared.slots)}"
        )
    needed = next((p.options for p in declared.published if p.slot == block.slot), {})
    return [attention.Place(block.slot, block.stages, block.blocks, {**needed, **block.options})]
