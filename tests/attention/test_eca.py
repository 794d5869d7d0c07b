"""ECA: the kernel that the paper derives from the channels."""

import pytest

from reid_attn import attention
from reid_attn.errors import UsageError


@pytest.mark.parametrize(
    ("channels", "kernel"),
    [(16, 3), (64, 3), (128, 5), (256, 5), (512, 5), (1024, 5), (2048, 7)],
)
def test_kernel_of_the_paper(channels: int, kernel: int) -> None:
    assert attention.build("eca", channels, (8, 4)).conv.kernel_size == (kernel,)


@pytest.mark.parametrize("kernel", [4, 0, -1])
def test_a_kernel_without_a_centre_is_refused(kernel: int) -> None:
    with pytest.raises(UsageError, match="eca cannot centre"):
        attention.build("eca", 64, (8, 4), kernel=kernel)
