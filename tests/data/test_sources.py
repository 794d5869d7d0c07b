"""What settings name: several sets that train, another that is tested, every picture of a set."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid_attn import data
from reid_attn.data import mixing, sources
from reid_attn.errors import DataError, UsageError
from reid_attn.settings import DataSettings


def write(root: Path, *names: str) -> str:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return str(root)


@pytest.fixture
def market(tmp_path: Path) -> str:
    train = ("bounding_box_train/0002_c1_a.jpg", "bounding_box_train/0007_c6_b.jpg")
    test = ("query/0001_c1_q.jpg", "bounding_box_test/0001_c2_g.jpg")
    useless = ("bounding_box_test/0000_c3_d.jpg", "bounding_box_test/-1_c3_j.jpg")
    return "market1501:" + write(tmp_path / "market", *train, *test, *useless)


@pytest.fixture
def photos(tmp_path: Path) -> str:
    train = ("train/ben/c0.jpg", "train/ada/c0.jpg", "train/ada/c2.jpg")
    return "folder:" + write(tmp_path / "photos", *train, "query/eve/c1.jpg", "gallery/eve/c2.jpg")


def shown(dataset: data.Dataset) -> dict[str, list[tuple[str, str, int]]]:
    return {
        name: [(p.path.name, dataset.describe(p.person), p.camera) for p in split]
        for name, split in dataset.splits().items()
    }


def test_one_set_alone_is_what_load_gives(market: str, photos: str) -> None:
    for source in (market, photos):
        assert data.load_settings(DataSettings(source=source)) == data.load(source)
    pattern = r"c\d*(.)"
    with pytest.raises(DataError, match="no camera number"):
        data.load_settings(DataSettings(source=photos, camera_pattern=pattern))


def test_more_people_to_train_with(market: str, photos: str) -> None:
    alone = data.load(market)
    dataset = data.load_settings(DataSettings(source=market, also_train=(photos,)))
    assert (dataset.query, dataset.gallery, dataset.junk) == (alone.query, alone.gallery, 1)
    assert dataset.train[:2] == alone.train
    assert shown(dataset)["train"][2:] == [
        ("c0.jpg", f"ada of {photos}", 7),  # after camera 6
        ("c2.jpg", f"ada of {photos}", 9),
        ("c0.jpg", f"ben of {photos}", 7),
    ]
    assert [picture.person for picture in dataset.train[2:]] == [8, 8, 9]
    assert dataset.labels() == {2: 0, 7: 1, 8: 2, 9: 3}


def test_tested_on_another_set(market: str, photos: str) -> None:
    dataset = data.load_settings(DataSettings(source=photos, test=market))
    other = data.load(market)
    assert (dataset.query, dataset.gallery, dataset.junk) == (other.query, other.gallery, 1)
    assert dataset.name == other.name
    assert shown(dataset)["train"] == [
        ("c0.jpg", f"ada of {photos}", 4),  # the test has cameras 1 to 3
        ("c2.jpg", f"ada of {photos}", 6),
        ("c0.jpg", f"ben of {photos}", 4),
    ]


def test_a_set_may_lend_its_people_and_be_the_test_as_well(market: str, photos: str) -> None:
    """Its training persons are other people than those of its test."""
    settings = DataSettings(source=photos, also_train=(market,), test=market)
    dataset = data.load_settings(settings)
    assert len(dataset.train) == 5
    assert len(dataset.labels()) == 4
    assert dataset.query == data.load(market).query


def test_every_picture_of_a_set(market: str, photos: str) -> None:
    """Distractors are nobody, and junk is no picture."""
    settings = DataSettings(source=photos, also_train=(f"all:{market}",))
    added = shown(data.load_settings(settings))["train"][3:]
    assert [name[:7] for name, _, _ in added] == ["0002_c1", "0007_c6", "0001_c1", "0001_c2"]
    assert len({person for _, person, _ in added}) == 3
    with pytest.raises(DataError, match=r"all:.* cannot be used, 2 problems:\n  query: no usable"):
        data.load(f"all:{photos}")


@pytest.mark.parametrize(
    "settings",
    [
        {"also_train": ["{market}"]},
        {"also_train": ["{photos}", "{photos}"]},
        {"also_train": ["all:{market}"]},
        {"source": "{photos}", "also_train": ["all:{market}"], "test": "{market}"},
        {"also_train": ["{market}/../market"]},
    ],
)
def test_a_picture_in_two_sets_is_refused(market: str, photos: str, settings: dict) -> None:
    def filled(text: str) -> str:
        return text.format(market=market, photos=photos)

    also = tuple(map(filled, settings["also_train"]))
    source, test = (filled(settings.get(key, "")) for key in ("source", "test"))
    with pytest.raises(
        DataError, match=r"the sets together cannot be used.*\n.* of .* is in .* too"
    ):
        data.load_settings(DataSettings(source=source or market, also_train=also, test=test))


def test_only_what_is_needed_must_be_there(market: str, photos: str, tmp_path: Path) -> None:
    tested = "market1501:" + write(
        tmp_path / "tested", "query/0001_c1_q.jpg", "bounding_box_test/0001_c2_g.jpg"
    )
    trained = "folder:" + write(tmp_path / "trained", "train/ada/c1.jpg", "train/ben/c1.jpg")
    for source in (tested, trained):
        with pytest.raises(DataError):
            data.load(source)
    dataset = data.load_settings(DataSettings(source=trained, test=tested))
    assert [len(split) for split in dataset.splits().values()] == [2, 1, 1]
    dataset = data.load_settings(DataSettings(source=market, also_train=(trained,)))
    assert len(dataset.train) == 4
    settings = DataSettings(source="folder:nowhere", also_train=("folder:nowhere",), test=tested)
    assert data.load_settings(settings, data.TEST) == data.load_settings(
        DataSettings(source=tested), data.TEST
    )
    with pytest.raises(DataError, match="there is no folder nowhere"):
        data.load_settings(settings)


Sets = st.lists(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=9), max_size=4
)


@given(Sets)
def test_no_two_sets_share_a_person_or_a_camera(drawn: list[list[tuple[int, int]]]) -> None:
    def made(number: int, rows: list[tuple[int, int]]) -> data.Dataset:
        pictures = [data.Picture(Path(f"/none/{number}/{i}"), *row) for i, row in enumerate(rows)]
        return data.Dataset(str(number), tuple(pictures), (), ())

    first, *others = (made(number, rows) for number, rows in enumerate([[(3, 5)], *drawn]))
    mixed = mixing.mix(first, [(other.name, other) for other in others])
    assert mixed.train[:1] == first.train
    assert len(mixed.train) == 1 + sum(map(len, drawn))
    for what in ("person", "camera"):
        homes: dict[int, set[str]] = {}
        for picture in mixed.train:
            homes.setdefault(getattr(picture, what), set()).add(picture.path.parent.name)
        assert all(len(home) == 1 for home in homes.values())
        before = len({(n, row[what == "camera"]) for n, rows in enumerate(drawn) for row in rows})
        assert len(homes) == before + 1


@pytest.mark.parametrize("kind", [*sources.READERS, "torchreid/viper", "all:market1501"])
def test_a_place_that_is_not_there_is_told_as_such(kind: str, tmp_path: Path) -> None:
    if kind.startswith(sources.TORCHREID):
        pytest.importorskip("torchreid")
    place = tmp_path / "nowhere"
    expected = "could not read .*No such file" if kind == "csv" else "there is no folder"
    with pytest.raises(DataError, match=expected) as caught:
        data.load(f"{kind}:{place}")
    assert str(place) in str(caught.value)


@pytest.mark.parametrize("source", ["all:", "all:photos", "torchreid/viper", "torchreid/viper:"])
def test_a_source_needs_format_and_path(source: str) -> None:
    with pytest.raises(UsageError, match="FORMAT:PATH"):
        data.load(source)


@pytest.mark.parametrize(
    ("kind", "nearest"),
    [
        ("cuhk03-labeled", "cuhk03-labelled"),
        ("msmt-17", "msmt17"),
        ("torchread/NAME", "torchreid/N"),
    ],
)
def test_an_unknown_format_names_the_nearest(kind: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=f"'{kind}' is not a format.*did you mean '{nearest}"):
        data.load(f"{kind}:anywhere")
