"""Which gallery pictures are junk to a query: neither right nor wrong, and left out of its ranking.

The field's rule is that of Market-1501 (Zheng et al., ICCV 2015): the query's own person at the
query's own camera, whose pictures are near-copies of it. Where there are no cameras, or several
looks at one person from one camera, another rule is wanted: pass one of these, or any function of
the same kind, as `junk=` to `evaluate`. Pictures of person −1 are junk under every rule.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

JUNK = -1
"""The person of gallery pictures that count neither for nor against a query."""

Integers = NDArray[np.int64]
JunkRule = Callable[[int, Integers], NDArray[np.bool_]]
"""`rule(query, same)`: of the gallery rows `same` (n,), which all show the person of row `query`
of the queries, which are junk; (n,) booleans."""


def same_camera(query_cams: ArrayLike, gallery_cams: ArrayLike) -> JunkRule:
    """The field's rule. Also for tracks, or anything else that makes pictures near-copies: pass
    one number per query (Q,) and per gallery picture (G,)."""
    own, theirs = np.asarray(query_cams), np.asarray(gallery_cams)
    return lambda query, same: np.asarray(theirs[same] == own[query])


def nothing(_: int, same: Integers) -> NDArray[np.bool_]:
    """No picture of the query's person is junk: for data without cameras."""
    return np.zeros(len(same), dtype=bool)


def close_in_time(
    query_times: ArrayLike, gallery_times: ArrayLike, distance: float, *others: JunkRule
) -> JunkRule:
    """Pictures less than `distance` away from the query's time, in the unit of the times.

    With `others`, only where those rules call a picture junk too: `close_in_time(q, g, 60,
    same_camera(q_cams, g_cams))` leaves out what the same camera saw within a minute.
    """
    own, theirs = np.asarray(query_times, np.float64), np.asarray(gallery_times, np.float64)

    def rule(query: int, same: Integers) -> NDArray[np.bool_]:
        junk: NDArray[np.bool_] = np.abs(theirs[same] - own[query]) < distance
        for other in others:
            junk &= other(query, same)
        return junk

    return rule
