import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest
import torch

from reid_attn.data import workers
from reid_attn.data.workers import in_order
from reid_attn.errors import ENDING, DataError, ReidError


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(_: int) -> None:
    signal.pause()


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_items_come_in_order(processes: int) -> None:
    found = in_order(lambda step: step * torch.ones(2), range(3, 20, 2), processes)
    assert [item.tolist() for item in found] == [[step, step] for step in range(3, 20, 2)]
    assert list(in_order(str, range(0), processes)) == []


@pytest.mark.parametrize("processes", [0, 2])
def test_a_refusal_comes_as_it_was_raised(processes: int) -> None:
    def refuse(step: int) -> int:
        if step == 2:
            raise DataError("that picture")
        return step

    items = in_order(refuse, range(5), processes)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(DataError, match=r"^that picture$"):
        next(items)


@pytest.mark.parametrize("fault", [die, hang])
def test_a_lost_worker_ends_the_work(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[int], None]
) -> None:
    monkeypatch.setattr(workers, "HANG_SECONDS", 1)
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.1)
    with pytest.raises(ReidError, match=r"a decoding worker stopped .* lower data\.workers"):
        list(in_order(fault, range(3), 1))
    assert not multiprocessing.active_children()


def test_work_that_somebody_holds_does_not_keep_the_process_from_ending() -> None:
    program = (
        "from reid_attn.data.workers import in_order\n"
        "held = in_order(str, range(50), 2)\n"
        "print(next(held))"
    )
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"0\n", b"")


def test_signals_to_the_whole_job_do_not_end_a_worker() -> None:
    """As torchrun, a scheduler and a terminal send them."""
    items = in_order(lambda step: step, range(40), 2)
    found = [next(items)]
    for child in multiprocessing.active_children():
        for number in ENDING:
            os.kill(child.pid or 0, number)
    assert [*found, *items] == list(range(40))
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(ENDING)


def test_an_error_of_the_program_is_not_taken_for_a_lost_worker() -> None:
    def fail(_: int) -> NoReturn:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match=r"^a bug$"):
        list(in_order(fail, range(3), 0))
