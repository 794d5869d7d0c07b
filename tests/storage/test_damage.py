"""Every damage of a generation is found, and a hostile one leads nowhere."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reid_attn import storage
from reid_attn.errors import DamagedError, DataError


def current(folder: Path) -> dict[str, bytes]:
    return storage.read_generation(folder, storage.current_generation(folder))


def flips(sound: bytes) -> Iterator[bytes]:
    """One bit of every byte changed."""
    for place, byte in enumerate(sound):
        yield b"%b%c%b" % (sound[:place], byte ^ 1 << place % 8, sound[place + 1 :])


@pytest.mark.parametrize("name", ["CURRENT", "gen-000003/manifest.json", "gen-000003/weights.bin"])
def test_damage_is_found_wherever_it_is(run: Path, name: str) -> None:
    path = run / name
    sound = path.read_bytes()
    cuts = (sound[:length] for length in range(len(sound) - 1))
    for damaged in (*flips(sound), *cuts, sound + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(DamagedError) as raised:
            current(run)
        assert str(run) in str(raised.value)
    path.write_bytes(sound)
    assert current(run)["state.json"] == b"3"


def test_any_damage_of_a_manifest_without_its_pointer(run: Path) -> None:
    """What is given back is the old content all the same, or nothing."""
    path, expected = run / "gen-000003" / "manifest.json", current(run)
    outcomes = {"refused": 0, "unharmed": 0}
    for damaged in flips(path.read_bytes()):
        path.write_bytes(damaged)
        try:
            assert storage.read_generation(run, 3) == expected
            outcomes["unharmed"] += 1
        except DamagedError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 100, outcomes


def test_what_is_missing_is_named_and_what_is_left_offered(run: Path) -> None:
    (run / "gen-000003" / "weights.bin").unlink()
    offer = f"An older one is still there: --checkpoint {run}/gen-000002$"
    with pytest.raises(DamagedError, match=f"gen-000003/weights.bin .No such file.+ {offer}"):
        current(run)
    (run / "gen-000002" / "manifest.json").unlink()
    (run / "gen-000001" / "weights.bin").write_bytes(b"weights!" * 3)
    with pytest.raises(DamagedError, match=r"weights.bin is damaged.+--checkpoint .+gen-000003$"):
        storage.read_generation(run, 1)
    (run / "gen-000003" / "manifest.json").unlink()
    with pytest.raises(
        DamagedError, match=r"gen-000003/manifest.json .+ --checkpoint .+gen-000001$"
    ):
        storage.current_generation(run)
    shutil.rmtree(run / "gen-000001")
    with pytest.raises(DamagedError, match="No other generation is left"):
        storage.current_generation(run)
    (run / "CURRENT").unlink()
    with pytest.raises(DataError, match="CURRENT"):
        storage.current_generation(run)


@pytest.mark.parametrize("number", [3.0, True, "3", None, -3, float("inf"), 10**30, [3]])
def test_a_pointer_to_no_number(run: Path, number: Any) -> None:
    pointer = json.loads((run / "CURRENT").read_text())
    (run / "CURRENT").write_text(json.dumps({**pointer, "generation": number}))
    with pytest.raises(DamagedError):
        storage.current_generation(run)


@pytest.mark.parametrize("value", [[], 3, None, {}, {"generation": 3}, "gen-000003"])
def test_a_pointer_of_another_shape(run: Path, value: Any) -> None:
    storage.write_json(run / "CURRENT", value)
    with pytest.raises(DamagedError):
        storage.current_generation(run)


@pytest.mark.parametrize(
    "name",
    [
        *("../secret", "sub/../../secret", "..", ".", "", "/etc/hostname", "sub/file", "a/"),
        *(".hidden", "-rf", "a\0b", "a\n", "\ud800", "x" * 300),
    ],
)
def test_a_manifest_cannot_name_a_file_elsewhere(run: Path, name: str) -> None:
    (run / "secret").write_bytes(b"secret")
    entry = {"bytes": 6, "sha256": storage.sha256(b"secret")}
    manifest = {"schema": storage.SCHEMA, "files": {name: entry}}
    (run / "gen-000003" / "manifest.json").write_text(json.dumps(manifest))
    storage.point_to(run, 3)
    with pytest.raises(DamagedError):
        current(run)


ENTRIES: list[Any] = [None, 1, [], {}, {"bytes": 1}, {"sha256": storage.sha256(b"3")}]
ENTRIES += [{"bytes": 2, "sha256": storage.sha256(b"3")}]


@pytest.mark.parametrize(
    "manifest",
    [
        *([], 3, None, {}, {"schema": 1}, {"files": {}}, {"schema": 2, "files": {}}),
        *({"schema": 1, "files": files} for files in ([], None, "state.json", ["state.json"])),
        *({"schema": 1, "files": {"state.json": entry}} for entry in ENTRIES),
    ],
)
def test_a_manifest_of_another_shape(run: Path, manifest: Any) -> None:
    storage.write_json(run / "gen-000003" / "manifest.json", manifest)
    storage.point_to(run, 3)
    with pytest.raises(DamagedError):
        current(run)
