"""Options of the pictures: which, how many in a batch, and how they are varied."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from .group import Count, Fraction, Group, Positive


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise PydanticCustomError("rising", "the first number must not be above the second")
    return ends


class DataSettings(Group):
    """Which pictures, and the size they are brought to."""

    source: str = "market1501:data/market1501"
    """`FORMAT:PATH`; the formats stand in `docs/data.md`."""
    also_train: tuple[str, ...] = ()
    """Further sets whose training pictures are added (`all:…`: all); they show other people."""
    test: str = ""
    """A set whose query and gallery are used instead of those of `source`; empty: its own."""
    height: Annotated[int, Field(ge=32)] = 256
    """Pixels."""
    width: Annotated[int, Field(ge=32)] = 128
    """Pixels."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """Of the resize, which smooths before it shrinks."""
    normalisation: Literal["imagenet", "half"] = "imagenet"
    """Mean and deviation that pictures are normalised with; `half`: 0.5 for each (many ViTs)."""
    camera_pattern: str = r"(?<![A-Za-z])c(?:am)?(\d+)"
    """For `folder`: where a name holds the camera (first group, decimal): the file's, else that of
    a folder between it and the person's."""
    bad_pictures: Literal["refuse", "skip"] = "refuse"
    """`skip` leaves out those that cannot be decoded, names and counts them."""
    cache: str = ""
    """Folder that keeps the training pictures decoded and resized; empty: decode every time."""
    workers: Count = 0
    """Decoding processes; the results do not depend on it."""


class BatchSettings(Group):
    """P×K batches."""

    persons: Annotated[int, Field(ge=2)] = 16
    """P, the identities in a batch (of all processes together)."""
    images: Annotated[int, Field(ge=2)] = 4
    """K, the pictures of each."""
    epoch: Literal["images", "persons"] = "images"
    """An epoch visits every picture about once, or every person once."""
    cameras: Literal["any", "balanced"] = "any"
    """`balanced`: the K pictures of a person come from as many cameras as there are."""


class AugmentSettings(Group):
    """The standard recipe; each probability 0 switches its part off."""

    flip: Fraction = 0.5
    """Probability that a picture is mirrored."""
    crop: Literal["none", "pad", "enlarge"] = "pad"
    """`pad`: zero padding and a random crop; `enlarge`: half the time, crop from 9/8 (RGA)."""
    padding: Count = 10
    """Pixels that `pad` adds on each side."""
    auto: Fraction = 0.0
    """Probability of a policy of AutoAugment (SBS)."""
    jitter: Fraction = 0.0
    """Probability that brightness, contrast and saturation change."""
    jitter_strength: tuple[Fraction, Fraction, Fraction] = (0.15, 0.15, 0.1)
    """How far each factor may be from 1, as in fast-reid."""
    erase: Fraction = 0.5
    """Probability that a rectangle is erased."""
    erase_area: Annotated[tuple[Fraction, Fraction], AfterValidator(_rising)] = (0.02, 0.4)
    """Its smallest and largest share of the picture."""
    erase_fill: Literal["mean", "zero"] = "zero"
    """Value of the erased patch after normalisation: `zero` is the ImageNet mean colour;
    `mean` the mean's own numbers, as the bag-of-tricks code has it."""
    where: Literal["worker", "device"] = "worker"
    """`device`: whole batches, on the device that trains; for a GPU that waits for pictures."""


class EvaluationSettings(Group):
    """How features are taken and compared."""

    feature: Literal["before_neck", "after_neck"] = "after_neck"
    """Which side of the neck the feature is taken from."""
    flip: bool = False
    """Average the feature with that of the mirrored picture."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    """What features are compared by."""
    batch: Positive = 64
    """Pictures that pass through the network at a time."""
