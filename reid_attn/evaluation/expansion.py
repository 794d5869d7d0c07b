"""Query expansion: a query takes on what its nearest gallery pictures look like.

    q' = (q + Σ_i w_i g_i) / |…|,   w_i = max(q·g_i, 0)^α

over the k nearest gallery vectors g_i, all of unit length.

α = 0 is average query expansion (Chum et al., Total Recall, ICCV 2007), α > 0 weighs near pictures
more: αQE (Radenović et al., Fine-tuning CNN Image Retrieval with No Human Annotation, TPAMI 2019,
section 3.4, where α = 3).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..neighbours import ExactIndex, unit_rows
from .scores import compared


def expand(
    query_features: ArrayLike, gallery_features: ArrayLike, *, k: int, alpha: float = 0.0
) -> NDArray[np.float32]:
    """New queries (Q, D) float32 of unit length, from queries (Q, D) and the gallery (G, D).

    For the cosine metric: both sides are brought to unit length first, of any float type. `k` ends
    at the size of the gallery. Neighbours come from the whole gallery without a look at persons or
    cameras, as a user at test time has none: junk, such as pictures of the query's own camera, is
    among them.

    Raises:
        DataError: arrays that do not fit, a vector that is not finite or zero, or a new query that
            is zero, since its neighbours point the other way.
        UsageError: k below 1, or an alpha that is negative or not finite.
        MissingExtra: FAISS is not installed.
    """
    if k < 1 or not 0 <= alpha < np.inf:
        raise UsageError(
            f"query expansion with k = {k} and alpha = {alpha}: use k of at least 1 and a finite "
            "alpha of at least 0"
        )
    sides = compared(query_features, gallery_features, "cosine")
    query, gallery = (unit_rows(side.vectors.astype(np.float32)) for side in sides)
    index = ExactIndex(gallery.shape[1])
    index.add(np.arange(len(gallery)), gallery)
    scores, near = index.search(query, k)
    weights = np.maximum(scores, 0) ** np.float32(alpha)
    expanded = query.copy()
    for new, rows, shares in zip(expanded, near, weights, strict=True):
        new += shares @ gallery[rows]
    return unit_rows(expanded)
