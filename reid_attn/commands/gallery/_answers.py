"""How the answer of a search is told, to programs and to people."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...gallery import Answer, Hit


def told(name: str, answer: "Answer") -> dict[str, Any]:
    """The answer of the query `name` as plain values."""
    hits = [
        {"rank": rank, **asdict(hit), "attributes": json.loads(hit.attributes)}
        for rank, hit in enumerate(answer, start=1)
    ]
    measured = answer.calibration
    return {
        "query": name.encode(errors="surrogateescape").decode(errors="replace"),
        "known": answer.known,
        "threshold": measured and measured.threshold,
        "wanted_rate": measured and measured.wanted_rate,
        "measured_rate": measured and measured.measured_rate,
        "hits": hits,
    }


def print_answer(name: str, answer: "Answer") -> None:
    """A table of the hits, and the decision."""
    from rich.console import Console

    from ...reports import ranked_lists
    from ...reports.tables import print_ranked

    hits = (ranked_lists.Hit(Path(h.source), h.score, None, _who(h), str(h.camera)) for h in answer)
    print_ranked(Console(), ranked_lists.RankedList(Path(name), "", "", tuple(hits), None))
    if not len(answer):
        print("Nothing was searched: no other picture fulfils the filters and has not expired.")
    print(_decision(answer))


def _who(hit: "Hit") -> str:
    named = f"{hit.person} ({hit.name})" if hit.name else hit.person
    return named or (f"unknown, track {hit.track}" if hit.track else "unknown")


def _decision(answer: "Answer") -> str:
    measured = answer.calibration
    if measured is None:
        return "No threshold is known: 'reid-attn gallery calibrate' measures one."
    best = "nothing was searched" if answer.best is None else f"the best score is {answer.best:.4f}"
    verdict = "Somebody like this is in the gallery" if answer.known else "Not in the gallery"
    return (
        f"{verdict}: {best}, the threshold {measured.threshold:.4f}. At that, on other "
        f"persons, {measured.measured_rate:.1%} of the unknown were accepted (wanted: "
        f"{measured.wanted_rate:.1%}), among {measured.gallery:,} pictures. A likeness, not an "
        "identification: a person decides."
    )
