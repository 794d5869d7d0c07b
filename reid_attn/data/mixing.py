"""Several sets as one: more people to train with, and every picture of a set."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from .dataset import Dataset, Picture, refuse

Part = tuple[str, Dataset]
"""What a set is called, and the set."""


def everything(dataset: Dataset) -> Dataset:
    """All pictures of people to train with, those of the test too; distractors are left out.

    The field calls it combine-all. It is for a set that is tested on another one.
    """
    pictures = dataset.train + dataset.query + dataset.gallery
    people = tuple(picture for picture in pictures if picture.person > 0)
    return replace(dataset, train=people, query=(), gallery=())


def mix(dataset: Dataset, parts: Sequence[Part]) -> Dataset:
    """`dataset` with the training pictures of all `parts` after its own.

    No two sets share a person or a camera: the numbers of each part follow the highest before it.
    A person of a part is called `NAME of PART`. A picture that two sets share is a `DataError`.
    """
    own = [*dataset.train, *dataset.query, *dataset.gallery]
    refuse("the sets together", list(_twice([(dataset.name, own), *_trained(parts)])))
    train, people = list(dataset.train), dict(dataset.people)
    person = max((picture.person for picture in own), default=0)
    camera = max((picture.camera for picture in own), default=-1)
    for name, part in parts:
        first_person, first_camera = person + 1, camera + 1
        numbers = {old: first_person + label for old, label in part.labels().items()}
        people |= {new: f"{part.describe(old)} of {name}" for old, new in numbers.items()}
        for picture in part.train:
            camera = max(camera, first_camera + picture.camera)
            train.append(
                Picture(picture.path, numbers[picture.person], first_camera + picture.camera)
            )
        person += len(numbers)
    return replace(dataset, train=tuple(train), people=people)


def _trained(parts: Iterable[Part]) -> Iterator[tuple[str, Sequence[Picture]]]:
    return ((name, part.train) for name, part in parts)


def _twice(lists: Iterable[tuple[str, Sequence[Picture]]]) -> Iterator[str]:
    """The pictures that a list shares with an earlier one, whatever way their folders are named."""
    folders: dict[Path, Path] = {}
    homes: dict[Path, str] = {}
    for name, pictures in lists:
        places = {}
        for picture in pictures:
            parent = picture.path.parent
            if parent not in folders:
                folders[parent] = parent.resolve()
            places[folders[parent] / picture.path.name] = name
        shared = [place for place in places if place in homes]
        yield from (f"{place} of {name} is in {homes[place]} too" for place in shared)
        homes |= places
