"""Where a step's time goes."""

import io
import re

import pytest
import torch
from rich.console import Console

from reid_attn.data import load
from reid_attn.settings import Settings, resolve
from reid_attn.training import step_times
from reid_attn.training.step_times import Stopwatch, profile, table


def test_a_part_is_counted_without_the_parts_inside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0, 7.0, 15.0, 31.0])
    monkeypatch.setattr(step_times.time, "perf_counter", lambda: next(clock))
    watch = Stopwatch(torch.device("cpu"))
    with watch("a"):
        with watch("b"):
            pass
        with watch("b"):
            pass
    assert watch.seconds == {"a": 1 + 4 + 16, "b": 2 + 8}


def test_the_table_holds_every_part_and_their_sum() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(table({"other": 0.1, "forward": 0.3, "backward": 0.6}, 10))
    lines = console.file.getvalue().splitlines()
    text = " ".join(" ".join(re.findall(r"[\w.%]+", line)) for line in lines)
    assert "forward 30.0 30% backward 60.0 60% other 10.0 10%" in text
    assert "all 100.0 100 %" in text


@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_part_of_a_step_is_named_and_nothing_is_written(
    tiny: Settings, accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_times, "WARMUP", 1)
    monkeypatch.setattr(step_times, "STEPS", 2)
    values = tiny.model_dump(mode="json")
    values["optimizer"]["accumulate"] = accumulate
    settings = resolve(values, "test")
    console = Console(file=io.StringIO(), width=100)
    profile(settings, load(settings.data.source), console)
    text = console.file.getvalue()
    parts = ["data", "transfer", "forward: stem", "forward: attention", "forward: head", "loss"]
    parts += [f"forward: stage {n}" for n in (1, 2, 3, 4)] + ["backward", "optimizer", "other"]
    for part in parts:
        assert re.search(rf"\b{part} +│ +\d+\.\d │ +\d+%", text), part
    assert "pictures/s" in text


def test_stages_that_are_computed_again_are_counted_in_their_place(
    tiny: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second pass through a stage ends in its middle, once it has what it is for."""
    monkeypatch.setattr(step_times, "WARMUP", 0)
    monkeypatch.setattr(step_times, "STEPS", 1)
    open_parts = []
    leave = Stopwatch.leave

    def leaving(watch: Stopwatch) -> None:
        leave(watch)
        open_parts.append(list(watch._inside))

    monkeypatch.setattr(Stopwatch, "leave", leaving)
    values = tiny.model_dump(mode="json")
    values["model"]["checkpoint_activations"] = True
    settings = resolve(values, "test")
    profile(settings, load(settings.data.source), Console(quiet=True))
    assert open_parts[-1] == []
