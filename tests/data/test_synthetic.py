from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reid_attn.data import Picture, load, synthetic
from reid_attn.data.histogram import colour_histogram
from reid_attn.data.images import decode
from reid_attn.data.looks import PATTERNS, Cloth, Look, draw_look
from reid_attn.data.pedestrian import Pose, draw_person
from reid_attn.data.shapes import Array
from reid_attn.data.street import draw_camera
from reid_attn.data.synthetic import HEIGHT, USELESS, WIDTH, write_sample
from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation import evaluate


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five persons, two cameras, two pictures each."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, persons=5, cameras=2, seed=7, pictures=2)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_reader_of_market_finds_what_was_planned(sample: Path) -> None:
    dataset = load(f"market1501:{sample}")
    assert Counter(picture.person for picture in dataset.train) == {1: 4, 2: 4, 3: 4}
    assert Counter((p.person, p.camera) for p in dataset.query) == {
        (person, camera): 1 for person in (4, 5) for camera in (1, 2)
    }
    assert Counter(p.person for p in dataset.gallery) == {0: 2 * USELESS, 4: 2, 5: 2}
    assert dataset.junk == 2 * USELESS


def test_names_are_those_of_market(sample: Path) -> None:
    names = set(contents(sample))
    assert "bounding_box_train/0001_c1s1_000001_00.jpg" in names
    assert "query/0004_c2s1_000001_00.jpg" in names
    assert "bounding_box_test/0004_c2s1_000002_00.jpg" in names
    assert "bounding_box_test/0000_c1s1_000001_00.jpg" in names
    assert "bounding_box_test/-1_c2s1_000003_00.jpg" in names


def test_pictures_are_128_by_64_and_all_different(sample: Path) -> None:
    files = contents(sample)
    assert {decode(data).shape for data in files.values()} == {(HEIGHT, WIDTH, 3)}
    assert len(set(files.values())) == len(files)


def test_another_seed_gives_other_pictures(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, persons=4, cameras=2, seed=8, pictures=2)
    assert not set(contents(tmp_path).values()) & set(contents(sample).values())


def test_a_person_looks_the_same_in_a_larger_set(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, persons=6, cameras=3, seed=7, pictures=3)
    larger = contents(tmp_path)
    name = "bounding_box_train/0002_c2s1_000002_00.jpg"
    assert larger[name] == contents(sample)[name]


def test_a_repetition_completes_the_set_byte_for_byte(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path, persons=5, cameras=2, seed=7, pictures=2)
    assert contents(tmp_path) == contents(sample)
    (tmp_path / "query/0004_c2s1_000001_00.jpg").unlink()
    write_sample(tmp_path, persons=5, cameras=2, seed=7, pictures=2)
    assert contents(tmp_path) == contents(sample)


def test_two_sets_do_not_mix(tmp_path: Path) -> None:
    stranger = tmp_path / "query" / "0009_c1s1_000001_00.jpg"
    stranger.parent.mkdir()
    stranger.write_bytes(b"another set's")
    with pytest.raises(DataError, match="0009_c1s1_000001_00"):
        write_sample(tmp_path, persons=4, cameras=2, seed=0)
    assert set(contents(tmp_path)) == {"query/0009_c1s1_000001_00.jpg"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("persons", 3),
        ("persons", 10_000),
        ("cameras", 1),
        ("cameras", 10),
        ("pictures", 1),
        ("pictures", 1000),
        ("seed", -1),
        ("seed", 2**64),
    ],
)
def test_numbers_that_make_no_set_are_refused(option: str, value: int, tmp_path: Path) -> None:
    arguments = {"persons": 4, "cameras": 2, "pictures": 2, "seed": 0, option: value}
    with pytest.raises(UsageError, match=option):
        write_sample(tmp_path, **arguments)
    assert not contents(tmp_path)


def portrait(look: Look, **pose: float) -> Array:
    """A person on white, from the front and standing still unless `pose` says otherwise."""
    canvas = np.ones((HEIGHT, WIDTH, 3), np.float32)
    angles = {"turn": 0.0, "phase": 0.0, "stride": 0.0, **pose}
    draw_person(canvas, look, Pose(**angles, top=(WIDTH / 2, 6.0), scale=115.0))
    return canvas


@pytest.fixture
def look() -> Look:
    """Red above blue, with nothing else to carry."""
    drawn = draw_look(np.random.default_rng(0))
    red, blue = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)
    return replace(
        drawn,
        upper=Cloth(red, red, "plain", 0.1),
        lower=Cloth(blue, blue, "plain", 0.1),
        bag="none",
        legwear="trousers",
        hairstyle="short",
        hair=(0.1, 0.1, 0.1),
        hem=0.52,
        build=1.1,
        height=1.0,
    )


def test_a_person_wears_the_upper_above_the_lower_garment(look: Look) -> None:
    canvas = portrait(look)
    chest, thigh = canvas[6 + 35, WIDTH // 2], canvas[6 + 70, WIDTH // 2 - 6]
    assert chest[0] > 0.6 > 0.2 > chest[2]
    assert thigh[2] > 0.6 > 0.2 > thigh[0]


def test_the_face_shows_in_front_and_hair_behind(look: Look) -> None:
    face = 6 + 9, WIDTH // 2
    assert portrait(look)[face][0] > 2 * portrait(look, turn=np.pi)[face][0]


def test_a_walker_spreads_the_legs(look: Look) -> None:
    def breadth(canvas: Array) -> int:
        return int((canvas[6 + 100] < 0.9).any(1).sum())

    stride = portrait(look, turn=np.pi / 2, phase=np.pi / 2, stride=0.5)
    assert breadth(stride) > breadth(portrait(look, turn=np.pi / 2)) + 5


@pytest.mark.parametrize("bag", ["backpack", "satchel"])
def test_a_bag_is_seen(bag: str, look: Look) -> None:
    green = replace(look, bag=bag, bag_colour=(0.1, 0.9, 0.1))
    pixels = portrait(green, turn=np.pi)
    assert ((pixels[..., 1] > 0.5) & (pixels[..., 0] < 0.3)).sum() > 30


@pytest.mark.parametrize("name", sorted(set(PATTERNS) - {"plain"}))
def test_a_pattern_mixes_both_colours(name: str) -> None:
    cloth = Cloth((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), name, 0.1)
    u, v = np.linspace(-0.1, 0.1, 41)[None, :], np.linspace(0, 0.4, 81)[:, None]
    share = cloth.at(u, v, chest=True)
    assert share.shape == (81, 41, 3)
    assert share.min() < 0.05
    assert share.max() > 0.95


def test_a_logo_is_on_the_chest_alone() -> None:
    cloth = Cloth((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "logo", 0.1)
    u, v = np.linspace(-0.1, 0.1, 41)[None, :], np.linspace(0, 0.4, 81)[:, None]
    assert cloth.at(u, v, chest=False).max() == 0


def test_cameras_lean_towards_their_hue() -> None:
    canvas = np.full((HEIGHT, WIDTH, 3), 0.5, np.float32)
    red, cyan = (
        draw_camera(np.random.default_rng(0), hue).expose(canvas, np.random.default_rng(0))
        for hue in (0.0, 0.5)
    )
    assert red.dtype == np.uint8
    lean = red.mean((0, 1)) - cyan.mean((0, 1))
    assert lean[0] > 5 > -3 > max(lean[1:])


def test_cameras_of_one_set_have_hues_apart() -> None:
    gains = np.stack([synthetic._camera(camera, seed=0).gain for camera in range(1, 7)])
    distances = np.linalg.norm(gains[:, None] - gains, axis=2) + np.eye(6)
    assert distances.min() > 0.03


def histograms(pictures: Sequence[Picture]) -> NDArray[np.float32]:
    return np.stack([colour_histogram(decode(picture.path)) for picture in pictures])


def test_a_street_has_more_colours_in_common_than_a_person(sample: Path) -> None:
    """What makes the set hard for colours alone."""
    pictures = load(f"market1501:{sample}").train
    likeness = histograms(pictures) @ histograms(pictures).T
    persons = np.array([picture.person for picture in pictures])
    cameras = np.array([picture.camera for picture in pictures])
    same_person = persons[:, None] == persons
    same_camera = cameras[:, None] == cameras
    assert likeness[same_camera & ~same_person].mean() > likeness[same_person & ~same_camera].mean()


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_colour_histogram_is_not_enough(seed: int, tmp_path: Path) -> None:
    write_sample(tmp_path, persons=80, cameras=4, seed=seed)
    dataset = load(f"market1501:{tmp_path}")
    query, gallery = (
        (
            histograms(pictures),
            np.array([picture.person for picture in pictures]),
            np.array([picture.camera for picture in pictures]),
        )
        for pictures in (dataset.query, dataset.gallery)
    )
    assert 0.05 < evaluate(*query, *gallery).rank1 < 0.5


def test_a_plan_has_half_of_the_persons_for_training() -> None:
    for persons, training in ((4, 2), (7, 4), (80, 40)):
        plan = list(synthetic._plan(persons, cameras=2, pictures=2))
        assert {shot.person for shot in plan if shot.split == "train"} == set(
            range(1, training + 1)
        )
