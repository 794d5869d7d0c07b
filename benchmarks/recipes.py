"""What is known of published sets and recipes: numbers of files, and scores."""

from typing import NamedTuple


class Expected(NamedTuple):
    """A published set."""

    source: str
    """The format of `data.source`."""
    train: int
    query: int
    gallery: int
    names: str = ""
    """SHA-256 over the files' names, as `_names` writes them; empty where none was published."""


class Published(NamedTuple):
    """What a recipe reached, in percent, and which average precision that is."""

    rank1: float
    mAP: float
    metric: str
    """`mAP` or `mAP_trapezoid`."""


EXPECTED = {
    "market1501": Expected(
        "market1501",
        12_936,
        3_368,
        15_913,
        "72eb94ce10ee00425b23072e5320f675bcaec09933e4fd2d1c17eca8686a75a8",
    ),
    "msmt17": Expected("msmt17", 30_248, 11_659, 82_161),
    "cuhk03": Expected("cuhk03-labelled", 7_368, 1_400, 5_328),
}
PUBLISHED = {  # the configurations name the sources
    ("market1501", "bot"): Published(94.5, 85.9, "mAP"),
    ("market1501", "agw"): Published(95.1, 87.8, "mAP"),
    ("market1501", "sbs"): Published(95.4, 88.2, "mAP"),
    ("market1501", "rga_s"): Published(96.0, 87.5, "mAP_trapezoid"),
    ("market1501", "rga_c"): Published(95.9, 87.9, "mAP_trapezoid"),
    ("market1501", "rga_sc"): Published(96.1, 88.4, "mAP_trapezoid"),
    ("msmt17", "bot"): Published(63.4, 45.1, "mAP"),
    ("msmt17", "rga_sc"): Published(80.3, 57.5, "mAP_trapezoid"),
    ("cuhk03", "bot"): Published(58.0, 56.6, "mAP"),
    ("cuhk03", "rga_sc"): Published(81.1, 77.4, "mAP_trapezoid"),
}
