"""Filters, groups, fused queries and re-ranking, against slow loops over plain lists."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_attn.errors import DataError, UsageError
from reid_attn.evaluation.rerank import rerank
from reid_attn.gallery import Gallery, where
from reid_attn.gallery import ranking as ranking_file

DIMENSION = 8
ROWS = 60


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Rows with persons (some unknown), cameras, tracks, times and attributes; their vectors."""
    folder = tmp_path_factory.mktemp("filters") / "people"
    Gallery.create(folder, fingerprint="model-a", dimension=DIMENSION, keep_days=None)
    generator = np.random.default_rng(5)
    rows = []
    for number in range(ROWS):
        rows.append(
            {
                "row": number + 1,
                "vector": generator.normal(size=DIMENSION),
                "person": [None, "anna", "bert", "carl"][number % 4],
                "camera": int(generator.integers(0, 3)),
                "track": ["", "1", "2"][int(generator.integers(0, 3))],
                "time": None if number % 5 == 0 else float(generator.integers(0, 100)),
                "attributes": {"colour": ["red", "blue"][number % 2], "seen": number % 3},
            }
        )
    with Gallery.open(folder) as gallery:
        gallery.add_vectors(
            [row["vector"] for row in rows],
            [row["person"] for row in rows],
            [row["camera"] for row in rows],
            [f"{row['row']}.jpg" for row in rows],
            [bytes([row["row"]]) * 32 for row in rows],
            times=[row["time"] for row in rows],
            tracks=[row["track"] for row in rows],
            attributes=[row["attributes"] for row in rows],
        )
    return folder, rows


def cosine(row, query):
    vector = row["vector"]
    return float(vector @ query / np.linalg.norm(vector) / np.linalg.norm(query))


def fits(row, *, cameras, other_cameras_than, since, until, attributes, persons):
    if cameras is not None and row["camera"] not in cameras:
        return False
    if row["camera"] in other_cameras_than:
        return False
    if since is not None and (row["time"] is None or row["time"] < since):
        return False
    if until is not None and (row["time"] is None or row["time"] >= until):
        return False
    if any(row["attributes"].get(key) != value for key, value in attributes.items()):
        return False
    return persons is None or row["person"] in persons


optional = {
    "cameras": st.none() | st.sets(st.integers(0, 3)),
    "other_cameras_than": st.sets(st.integers(0, 3)),
    "since": st.none() | st.integers(0, 100),
    "until": st.none() | st.integers(0, 100),
    "attributes": st.dictionaries(
        st.sampled_from(["colour", "seen", "no"]), st.just("red") | st.integers(0, 2), max_size=2
    ),
    "persons": st.none() | st.sets(st.sampled_from(["anna", "bert", "dora"])),
}


@settings(max_examples=30, deadline=None, derandomize=True)
@given(chosen=st.fixed_dictionaries(optional), k=st.integers(1, 70), seed=st.integers(0, 1000))
def test_filters_agree_with_a_loop(people, chosen, k, seed):
    folder, rows = people
    query = np.random.default_rng(seed).normal(size=DIMENSION)
    expected = sorted((-cosine(row, query), row["row"]) for row in rows if fits(row, **chosen))[:k]
    with Gallery.open(folder) as gallery:
        found = gallery.search(query, k, where=where(**chosen))
        assert [hit.row for hit in found] == [row for _, row in expected]
        meant = gallery.rows(where(**chosen))
        assert [r.row for r in meant] == [r["row"] for r in rows if fits(r, **chosen)]


def group_key(row, group):
    if group == "person" and row["person"]:
        return row["person"]
    return (row["camera"], row["track"]) if row["track"] else row["row"]


@pytest.mark.parametrize("group", ["person", "track"])
@pytest.mark.parametrize("k", [1, 3, 8, 100])
def test_groups_show_their_best_picture(people, group, k):
    folder, rows = people
    query = np.random.default_rng(k).normal(size=DIMENSION)
    best = {}
    for row in sorted(rows, key=lambda row: -cosine(row, query)):
        best.setdefault(group_key(row, group), row["row"])
    with Gallery.open(folder) as gallery:
        found = gallery.search(query, k, group=group)
    assert [hit.row for hit in found] == list(best.values())[:k]


def test_several_pictures_are_searched_for_by_their_mean(tmp_path, make_embedder, pictures):
    folder = tmp_path / "people"
    Gallery.create(folder, fingerprint="model-a", dimension=DIMENSION, pictures=False)
    embed = make_embedder()
    with Gallery.open(folder, embed) as gallery:
        gallery.add(pictures, list("abcdef"), [1] * 6)
        mean = embed(pictures[:3]).mean(axis=0)
        fused = gallery.search(pictures[:3], 6)
        assert [hit.row for hit in fused] == [hit.row for hit in gallery.search(mean, 6)]
        several, one = gallery.search_all([pictures[:3], pictures[4]], 6)
        assert several == fused
        assert one == gallery.search(pictures[4], 6)


def test_pictures_that_cancel_out_have_no_direction(people):
    folder, _ = people

    class Opposite:
        fingerprint, dimension = "model-a", DIMENSION

        def __call__(self, pictures):
            return np.eye(DIMENSION, dtype=np.float32)[[0, 0]] * np.float32([[1], [-1]])

    with Gallery.open(folder, Opposite()) as gallery, pytest.raises(DataError):
        gallery.search(["a.jpg", "b.jpg"])


def test_a_stored_row_is_no_answer_to_itself(people):
    folder, rows = people
    expected = sorted((-cosine(row, rows[6]["vector"]), row["row"]) for row in rows)[1:6]
    with Gallery.open(folder) as gallery:
        assert [hit.row for hit in gallery.search(7, 5)] == [row for _, row in expected]
        with pytest.raises(UsageError, match="row 99 is not in the gallery"):
            gallery.search(99)


def test_each_query_may_leave_out_its_own_camera(people):
    folder, rows = people
    queries = [row["vector"] for row in rows[:9]]
    cameras = [row["camera"] for row in rows[:9]]
    with Gallery.open(folder) as gallery:
        together = gallery.search_all(queries, 4, cameras)
        alone = [gallery.search(q, 4, c) for q, c in zip(queries, cameras, strict=True)]
    assert together == alone
    pairs = zip(together, cameras, strict=True)
    assert all(hit.camera != camera for answer, camera in pairs for hit in answer)


def test_reranking_orders_the_best_ones_anew(people, monkeypatch):
    monkeypatch.setattr(ranking_file, "RERANKED", 20)
    folder, rows = people
    query = np.random.default_rng(0).normal(size=DIMENSION)
    best = sorted(rows, key=lambda row: -cosine(row, query))[:20]
    (distances,) = rerank(query[None], np.stack([row["vector"] for row in best]))
    expected = [best[place]["row"] for place in np.argsort(distances[0], kind="stable")]
    with Gallery.open(folder) as gallery:
        found = gallery.search(query, 5, rerank=True)
        plain = gallery.search(query, 20)
    assert [hit.row for hit in found] == expected[:5]
    assert {hit.row: hit.score for hit in found}.items() <= {h.row: h.score for h in plain}.items()


@pytest.mark.parametrize("k", [1, 2])
def test_reranking_one_hit_is_possible(people, k):
    folder, _ = people
    with Gallery.open(folder) as gallery:
        found = gallery.search(
            1, k, where=where(attributes={"seen": 0, "colour": "blue"}), rerank=True
        )
        assert len(found) == k


def test_true_is_not_one(tmp_path):
    folder = tmp_path / "people"
    Gallery.create(folder, fingerprint="a", dimension=2)
    with Gallery.open(folder) as gallery:
        attributes = [{"x": True}, {"x": 1}, {"x": None}, {}]
        gallery.add_vectors(
            np.eye(2)[[0, 0, 0, 0]],
            list("abcd"),
            [1] * 4,
            list("abcd"),
            [bytes([n]) * 32 for n in range(4)],
            attributes=attributes,
        )
        for value, row in ((True, 1), (1, 2), (1.0, 2), (None, 3)):
            assert [r.row for r in gallery.rows(where(attributes={"x": value}))] == [row]


HOUR = [3600, 3600.0, "3600.0", " 3.6e3 ", "03600", np.int64(3600), np.float32(3600)]
HOUR += ["1970-01-01T01:00", "1970-01-01T02:00:00+01:00", "1970-01-01T01:00:00Z"]
HOUR += [datetime(1970, 1, 1, 1), datetime(1970, 1, 1, 1, tzinfo=timezone.utc)]
HOUR += [datetime(1970, 1, 1, 3, tzinfo=timezone(timedelta(hours=2)))]


@pytest.mark.parametrize("moment", HOUR)
def test_a_moment_may_be_written_in_several_ways(moment):
    found = where(since=moment).since
    assert (found, type(found)) == (3600.0, float)


@pytest.mark.parametrize(
    ("text", "instead"),
    [("20260501", "2026-05-01 or 20260501.0"), ("2026", "2026-01-01 or 2026.0")],
)
def test_digits_that_may_be_a_date_or_seconds_are_refused_with_both_ways_to_write_them(
    text, instead
):
    with pytest.raises(DataError, match=f"{text}' may be a date or seconds: write {instead}"):
        where(since=text)
    for way in instead.split(" or "):
        assert where(since=way).since is not None


NO_MOMENTS = [
    "noon",
    "1_000",
    "2026-13-01",
    "١٢",
    "nan",
    "-inf",
    "1e999",
    pytest.param(10**400, id="huge"),
    np.nan,
    [],
    {},
]
NO_MOMENTS += [b"noon", object(), "0001-01-01T00:00:00+25:00"]


@pytest.mark.parametrize("moment", NO_MOMENTS)
def test_what_is_no_moment_is_refused(moment):
    with pytest.raises(DataError, match="is not a moment: use seconds since 1970, or ISO 8601"):
        where(until=moment)
