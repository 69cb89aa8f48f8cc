"""``lenet-1998``: how LeNet-5 was trained.

    convnets train lenet5 --data mnist --recipe lenet-1998

LeCun, Bottou, Bengio and Haffner 1998, Section III-B: 20 passes over MNIST, one image a step, at a
rate that falls by hand; LeNet-5 reaches 0.95 % error (Fig. 9). The paper divides the rate of each
parameter by an estimate of its curvature, "stochastic diagonal Levenberg-Marquardt", which is not
here: one rate in the middle of those it reports stands in.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Sgd, Steps

PAPER = "LeCun et al. 1998, Section III-B"

LENET_1998 = Recipe(
    name="lenet-1998",
    summary="LeNet-5 on MNIST: one image a step, 20 passes, a rate lowered by hand",
    year=1998,
    epochs=20,
    batch_size=1,
    optimizer=Sgd(lr=1e-3, momentum=0, weight_decay=0),
    schedule=Steps(milestones=(0.1, 0.25, 0.4, 0.6), rates=(0.4, 0.2, 0.1, 0.02)),
    augmentation=Augmentation(),
    sources={
        "epochs": f"{PAPER}: 20 iterations through the training data",
        "batch_size": "LeCun et al. 1998, Section II-C: the gradient of one example at a time",
        "optimizer.lr": f"{PAPER}: rates of single parameters from 7e-5 to 0.016; ours in between",
        "optimizer.momentum": f"{PAPER}: none",
        "optimizer.weight_decay": f"{PAPER}: none",
        "schedule": f"{PAPER}: 5e-4 for 2 passes, 2e-4 for 3, 1e-4 for 3, 5e-5 for 4, then 1e-5",
    },
)
