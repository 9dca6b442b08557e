"""Cells of a lesion study: what is done to a network, and under which images it is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eiplatform.errors import ConfigError, choose
from eiplatform.interventions.intervention import Kind

__all__ = ["Cell", "Images"]


@dataclass(frozen=True)
class Images:
    """How the images are disturbed before they are shown.

    Attributes
    ----------
    kind : {"plain", "noise", "contrast", "occlusion"}
        Gaussian noise of standard deviation `level` on pixels in [0, 1], clipped; the difference from mid-grey times
        `level`; a square at a random place that covers the part `level` of the image, set to 0.
    level : float
    seed : int
        The disturbance of a sample depends on it and on the sample's id alone.
    """

    kind: str = "plain"
    level: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        choose(self.kind, ("plain", "noise", "contrast", "occlusion"), "disturbance of images", where="images")
        if not (0 <= self.level and (self.kind == "noise" or self.level <= 1)):
            raise ConfigError(f"{self.kind} of {self.level}", where="images", valid="0 to 1 (noise: 0 or more)")

    def __str__(self) -> str:
        return self.kind if self.kind == "plain" else f"{self.kind} {self.level:g}"

    def disturb(self, images: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Return images (n, ...) in [0, 1] as they are shown."""
        if self.kind == "plain":
            return images
        if self.kind == "contrast":
            return np.asarray(0.5 + self.level * (images - 0.5), dtype=images.dtype)
        found = images.copy()
        for index, sample in enumerate(ids.tolist()):
            random = np.random.default_rng([self.seed, int(sample)])
            if self.kind == "noise":
                noise = self.level * random.standard_normal(images.shape[1:])
                found[index] = np.clip(images[index] + noise, 0, 1)
            else:
                self._cover(found[index], random)
        return found

    def _cover(self, image: np.ndarray, random: np.random.Generator) -> None:
        if image.ndim < 2:
            raise ConfigError("samples without rows and columns cannot be covered", where="images: occlusion")
        rows, columns = image.shape[-2:]
        side = [round(n * self.level**0.5) for n in (rows, columns)]
        first, left = (int(random.integers(n - s + 1)) for n, s in zip((rows, columns), side, strict=True))
        image[..., first : first + side[0], left : left + side[1]] = 0


@dataclass(frozen=True)
class Cell:
    """One cell of a lesion study.

    Attributes
    ----------
    interventions : tuple of Kind
        Empty: the intact network.
    about : mapping of str to str, int or float
        Coordinates: ``design``, ``role`` (``intact``, ``lesion`` or the name of a control), ``pathway``, ``layer``,
        ``dose``, ``draw`` and whatever a design adds.
    images : Images
    by_step : bool
        Whether rates are read at every step, and answers from every step on.
    """

    interventions: tuple[Kind, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    images: Images = field(default_factory=Images)
    by_step: bool = False

    def spec(self) -> dict[str, Any]:
        """Return what decides its numbers, as plain data."""
        images = [self.images.kind, self.images.level, self.images.seed]
        found = {"interventions": [one.to_dict() for one in self.interventions], "images": images}
        return {**found, "by_step": True} if self.by_step else found
