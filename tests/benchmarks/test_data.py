"""`scripts/bench data` measures each way of making batches."""

from pathlib import Path

import pytest

from benchmarks import data


def test_each_way_is_measured(
    sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)  # other tests want theirs
    words = ["--data", f"market1501:{sample}", "--persons", "3", "--batches", "1"]
    monkeypatch.setattr("sys.argv", ["data", *words, "--height", "32", "--width", "32"])
    assert data.main() == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[-1] == "2500/s"
    assert len({line.partition("  ")[0] for line in lines}) == len(lines) == 8
    assert all(int(line.split("µs")[0].split()[-1]) > 0 for line in lines)
