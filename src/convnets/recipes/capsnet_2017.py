"""``capsnet-2017``: how CapsNet was trained on MNIST.

    convnets train capsnet_mnist --data mnist --recipe capsnet-2017

Sabour, Frosst and Hinton 2017 (arXiv:1710.09829), Sections 4 and 5, where it reaches 0.25 % error
(Table 1); what the paper leaves to TensorFlow's defaults is in the authors' code. The network must
have its decoder, which draws images whose pixels go from 0 to 1.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation
from convnets.recipes.recipe import Recipe
from convnets.training.settings import AdamW, Exponential

SECTION_5 = "Sabour et al. 2017, Section 5"
CODE = "the authors' code"

CAPSNET_2017 = Recipe(
    name="capsnet-2017",
    summary="CapsNet on MNIST: Adam, margin loss and reconstruction, shifts of 2 pixels",
    year=2017,
    epochs=50,
    batch_size=128,
    optimizer=AdamW(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0),
    schedule=Exponential(factor=0.96, every=0.085),
    auxiliary_weight=1.0,
    normalise="unit",
    augmentation=Augmentation(padding=2, padding_mode="zero"),
    input_size=28,
    sources={
        "epochs": "ours: the paper does not say",
        "batch_size": f"{CODE}: 128",
        "optimizer": "Sabour et al. 2017, Section 4: Adam with TensorFlow's defaults, no decay",
        "schedule": f"Sabour et al. 2017, Section 4: decaying; {CODE}: 0.96 every 2000 steps",
        "auxiliary_weight": "Sabour et al. 2017, Section 4.1; the network's 0.0005 is the weight",
        "normalise": "Sabour et al. 2017, Section 4.1: the decoder draws pixel intensities",
        "augmentation": f"{SECTION_5}: shifted by up to 2 pixels, zeros around",
        "input_size": f"{SECTION_5}: 28",
    },
)
