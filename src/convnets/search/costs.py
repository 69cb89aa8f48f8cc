"""What a candidate costs on a study's images: counted, or measured on this machine."""

from __future__ import annotations

import statistics

import torch

from convnets.analysis import profile
from convnets.analysis.measure import timed
from convnets.data import ImageSet
from convnets.layers.network import ConvNet
from convnets.models import create_model
from convnets.recipes import Recipe
from convnets.runs.plan import make_plan
from convnets.search.rewards import CostKind
from convnets.training.engine import Engine


class Costing:
    """Costs of networks by name, each found once."""

    def __init__(self, images: ImageSet, recipe: Recipe, engine: Engine) -> None:
        self.images, self.recipe, self.engine = images, recipe, engine
        self.known: dict[tuple[str, CostKind], float] = {}

    def of(self, model: str, kind: CostKind) -> float:
        """Parameters, multiply-adds of an image, or seconds of one image's forward pass.

        The seconds are the median of some passes in eval mode, in the engine's number format.
        """
        if (model, kind) not in self.known:
            if kind == "latency":
                self.known[model, kind] = self._latency(model)
            else:
                with torch.device("meta"):
                    network, size = self._build(model)
                found = profile(network, size, in_chans=self.images.channels)
                self.known |= {(model, "params"): found.params, (model, "macs"): found.macs}
        return self.known[model, kind]

    def _latency(self, model: str) -> float:
        network, size = self._build(model)
        placed = self.engine.place(network).eval()
        shape = (1, self.images.channels, size, size)
        images = torch.zeros(shape, device=self.engine.device)
        with torch.inference_mode(), self.engine.autocast():
            return statistics.median(timed(lambda: placed(images), self.engine.device))

    def _build(self, model: str) -> tuple[ConvNet, int]:
        plan = make_plan(model, self.images, self.recipe, 0)
        network = create_model(
            model,
            num_classes=len(self.images.classes),
            in_chans=self.images.channels,
            stem=plan.stem,
        )
        return network, plan.input_size
