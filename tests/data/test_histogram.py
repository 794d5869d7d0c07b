import numpy as np

from reid_attn.data.histogram import colour_histogram


def test_it_has_one_bin_for_each_colour() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0] = (255, 31, 32)  # bins 7, 0, 1
    histogram = colour_histogram(pixels)
    assert histogram.shape == (512,)
    assert histogram.dtype == np.float32
    expected = np.zeros(512)
    expected[0], expected[7 * 64 + 1] = np.sqrt(0.75), np.sqrt(0.25)
    np.testing.assert_allclose(histogram, expected, rtol=1e-6)


def test_it_has_unit_length_and_forgets_where_colours_are() -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (16, 8, 3), dtype=np.uint8)
    histogram = colour_histogram(pixels)
    np.testing.assert_allclose(np.linalg.norm(histogram), 1, rtol=1e-6)
    np.testing.assert_array_equal(histogram, colour_histogram(pixels[::-1, ::-1]))


def test_its_cosine_agrees_with_the_distance_of_hellinger() -> None:
    generator = np.random.default_rng(1)
    first, second = (
        colour_histogram(generator.integers(0, 120, (16, 8, 3), dtype=np.uint8)) for _ in range(2)
    )
    hellinger = np.sqrt(((first - second) ** 2).sum() / 2)
    np.testing.assert_allclose(first @ second, 1 - hellinger**2, rtol=1e-5)
