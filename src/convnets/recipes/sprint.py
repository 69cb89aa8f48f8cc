"""``sprint`` and ``sprint-plain``: accurate in a few dozen epochs, with and without normalisation.

    convnets bench resnet18 --data cifar10 --stem small --recipe sprint
    convnets bench vgg11 --data cifar10 --stem small --recipe sprint-plain

What runs against the clock on CIFAR-10 have in common (Page 2018, "How to train your ResNet";
Coleman et al. 2017, DAWNBench; Jordan 2024, arXiv:2404.00498): one large learning rate that rises
and falls once, Nesterov momentum, smoothed labels, crops, flips and a small square cut out.

Without normalisation no rate is right for every layer: there AdamW and a bound on the gradient take
the place of SGD, and dropout, where a network has any, is its paper's.
"""

from __future__ import annotations

from convnets.data.augment import Augmentation
from convnets.recipes.recipe import Recipe
from convnets.training.settings import AdamW, Cosine, Sgd

PAGE = "Page 2018, How to train your ResNet"

AUGMENTATION = Augmentation(padding=4, padding_mode="reflect", flip=True, cutout=8)
SOURCES = {
    "epochs": "ours: where a ResNet of CIFAR's size has settled; Page trains 24",
    "schedule.warmup": f"{PAGE}: a rise over 5 of 24 epochs, then a fall",
    "schedule.final": "Loshchilov and Hutter 2017, Eq. 5; Page falls in a straight line",
    "label_smoothing": "Szegedy et al. 2016 (Inception v3), Section 7: 0.1",
    "augmentation.padding": f"{PAGE}: 4, by reflection",
    "augmentation.padding_mode": f"{PAGE}: by reflection",
    "augmentation.flip": PAGE,
    "augmentation.cutout": f"{PAGE}: 8x8",
}

SPRINT = Recipe(
    name="sprint",
    summary="a few dozen epochs of small images: large batches, one rise and fall of the rate",
    year=2018,
    epochs=30,
    batch_size=512,
    optimizer=Sgd(lr=0.4, momentum=0.9, nesterov=True, weight_decay=5e-4, decay_vectors=False),
    schedule=Cosine(warmup=0.2, final=0.0),
    label_smoothing=0.1,
    augmentation=AUGMENTATION,
    sources={
        **SOURCES,
        "batch_size": f"{PAGE}: 512",
        "optimizer.lr": f"{PAGE}: 0.4 at 512; 0.1 at 128 in He et al. 2015",
        "optimizer.momentum": f"{PAGE}: 0.9",
        "optimizer.nesterov": PAGE,
        "optimizer.weight_decay": f"{PAGE}: 5e-4",
        "optimizer.decay_vectors": "Goyal et al. 2017, Section 5.3: none on norms and biases",
    },
)

SPRINT_PLAIN = Recipe(
    name="sprint-plain",
    summary="the same for networks without batch normalisation: AdamW, bounded gradients",
    year=2018,
    epochs=30,
    batch_size=256,
    optimizer=AdamW(lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05),
    schedule=Cosine(warmup=0.2, final=0.0),
    label_smoothing=0.1,
    clip_norm=1.0,
    augmentation=AUGMENTATION,
    sources={
        **SOURCES,
        "batch_size": "ours: between the 128 of He et al. 2015 and the 512 of Page 2018",
        "optimizer.lr": "Kingma and Ba 2015, Algorithm 1: 1e-3",
        "optimizer.betas": "Kingma and Ba 2015, Algorithm 1",
        "optimizer.weight_decay": "Liu et al. 2022 (ConvNeXt), Table 5: 0.05",
        "optimizer.decay_vectors": "Goyal et al. 2017, Section 5.3: none on norms and biases",
        "clip_norm": "Pascanu et al. 2013, Algorithm 1; the bound is ours",
    },
)
