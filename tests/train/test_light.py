"""Slow changes of light are found and divided out; the texture stays."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tn_runtime.errors import RequestError
from tn_train.config import Budget
from tn_train.light import UNEVEN, evened, unevenness
from tn_train.plan import Options, plan
from tn_train.training import Training


def texture(side: int = 96) -> Tensor:
    """Return coloured noise in even light, (1, 3, H, W)."""
    rng = torch.Generator().manual_seed(0)
    return 0.25 + 0.25 * torch.rand(1, 3, side, side, generator=rng)


def lit(picture: Tensor, factor: float) -> Tensor:
    """Return a picture on which linear light falls from left to right by a factor."""
    linear = ((picture + 0.055) / 1.055) ** 2.4
    light = factor ** torch.linspace(0, -1, picture.shape[-1])
    dark = linear * light
    return torch.where(dark <= 0.0031308, 12.92 * dark, 1.055 * dark ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("factor", [1.5, 3.0, 6.0])
def test_the_change_is_measured(factor):
    assert unevenness(lit(texture(), factor)) == pytest.approx(factor, rel=0.1)


def test_even_light_is_left_alone():
    assert unevenness(texture()) == 1
    assert (evened(texture()) - texture()).abs().max() < 0.03


def test_a_pattern_is_no_light():
    stripes = 0.3 + 0.2 * (torch.arange(96) // 24 % 2)
    assert unevenness(stripes.expand(1, 3, 96, 96) + 0) < UNEVEN


@pytest.mark.parametrize("flat", [0.0, 0.5, 1.0])
def test_a_flat_picture_stays(flat):
    picture = torch.full((1, 3, 40, 30), flat)
    assert unevenness(picture) == pytest.approx(1)
    assert (evened(picture) - picture).abs().max() < 1e-5


def test_the_texture_comes_back():
    """Up to the brightness of the whole."""
    back, original = evened(lit(texture(), 4.0)), texture()
    sides = back[..., :24].mean() / back[..., -24:].mean()
    assert sides.item() == pytest.approx(1, abs=0.03)
    assert np.corrcoef(back.flatten(), original.flatten())[0, 1] > 0.98


def saved(tmp_path, picture: Tensor):
    path = tmp_path / "photo.png"
    pixels = (picture[0].permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(path)
    return path


def test_training_says_that_a_photo_needs_it_and_divides_it_out(tmp_path):
    path = saved(tmp_path, lit(texture(), 4.0))
    lines: list[str] = []
    options = Options((path,), tmp_path / "a.pt", budget=Budget(steps=1), size=96)
    Training(options, "cpu", lines.append)
    [line] = lines
    assert "--even-light" in line
    assert math.isclose(float(line.split("factor of ")[1].split()[0]), 4, abs_tol=0.4)
    asked = Options((path,), tmp_path / "b.pt", budget=Budget(steps=1), size=96, even_light=True)
    Training(asked, "cpu", lines.append)
    assert len(lines) == 1
    assert unevenness(plan(asked).pixels[0]) < UNEVEN


def test_a_run_goes_on_as_it_began(tmp_path):
    path = saved(tmp_path, texture())
    options = Options((path,), tmp_path / "a.pt", budget=Budget(steps=1), size=96)
    training = Training(options, "cpu", lambda _: None)
    training.outputs.save()
    again = Options((path,), tmp_path / "a.pt", resume=True, even_light=True)
    with pytest.raises(RequestError, match="--even-light on contradicts"):
        plan(again)
