"""Features files of other systems, as the arrays that our own features file has.

- `.mat`: what layumi's Person_reID_baseline_pytorch writes: `gallery_f` (N, D),
  `gallery_label` and `gallery_cam` (1, N), the same for `query_`; its `mquery_` is not looked at.
- `.pt`, `.pth`: a dictionary of tensors, which a guarded child process opens (`models/weights.py`).

Shapes and types of what is found here are checked in `file.py`, with those of our own file.
"""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..data.matlab import read_numbers, refuse_missing, whole_column
from ..models.weights import read_nested

_MAT_KEYS = {
    f"{split}_{theirs}": f"{split}_{ours}"
    for split in ("query", "gallery")
    for theirs, ours in (("f", "features"), ("label", "ids"), ("cam", "cams"))
}
_TORCH_KEYS = {"features": ("features",), "ids": ("pids", "ids"), "cams": ("camids", "cams")}


def read_mat(path: Path) -> dict[str, NDArray[Any]]:
    """The six arrays of a `.mat` file under our names; whole numbers become integers.

    Raises:
        DataError: the file is damaged, of another version, lacks an array, or has one that is not
            of real numbers; or a label or camera is no whole number.
    """
    found = read_numbers(path, _MAT_KEYS)
    return {
        ours: found[theirs]
        if ours.endswith("features")
        else whole_column(found[theirs], theirs, path)
        for theirs, ours in _MAT_KEYS.items()
    }


def read_torch(path: Path) -> dict[str, NDArray[Any]]:
    """The six arrays of a `.pt` file under our names, from nested or flat dictionaries.

    Raises:
        DataError: the file is refused by the safe reader, or lacks an array.
    """
    tensors = read_nested(path)
    chosen: dict[str, str] = {}
    missing = []
    for split in ("query", "gallery"):
        for ours, names in _TORCH_KEYS.items():
            keys = [f"{split}{mark}{name}" for mark in "._" for name in names]
            present = [key for key in keys if key in tensors]
            if present:
                chosen[f"{split}_{ours}"] = present[0]
            else:
                missing.append(keys[0])
    refuse_missing(missing, tensors, path)
    found = {ours: tensors[key] for ours, key in chosen.items()}
    return {  # numpy has no bfloat16
        ours: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        for ours, tensor in found.items()
    }
