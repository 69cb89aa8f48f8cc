"""``googlenet-2014`` and ``googlenet-2014-small``: how GoogLeNet was trained, at 224 and 32 pixels.

    convnets train googlenet_aux --data photos --recipe googlenet-2014
    convnets bench googlenet_aux --data cifar10 --recipe googlenet-2014-small

Szegedy et al. 2014 (arXiv:1409.4842), Section 6, gives the momentum, the rate's 4 % every 8 epochs,
the crops, and that the weights tested are an average (Polyak). It leaves out rate, batch, decay and
length: those are of the solver.prototxt with which BVLC reproduced the network in Caffe (68.7 %).

The network must have its auxiliary classifiers: ``googlenet_aux``, ``googlenet_bn_aux``. In the
small form the rate is that of four times the batch (Goyal et al. 2017, Section 2.1).
"""

from __future__ import annotations

from convnets.data.augment import Augmentation, ColourJitter, ResizedCrop
from convnets.recipes.recipe import Recipe
from convnets.training.settings import Exponential, Sgd

SECTION_6 = "Szegedy et al. 2014, Section 6"
CAFFE = "BVLC's GoogLeNet in Caffe, solver.prototxt"
DISTORTIONS = ColourJitter(brightness=0.5, contrast=0.5, saturation=0.5)

SOURCES = {
    "optimizer.momentum": f"{SECTION_6}: 0.9",
    "optimizer.weight_decay": f"{CAFFE}: 2e-4",
    "schedule": f"{SECTION_6}: 4 % less every 8 epochs; {CAFFE}: of 250",
    "auxiliary_weight": "Szegedy et al. 2014, Section 5: 0.3",
    "swa_start": f"{SECTION_6}: Polyak averaging, it does not say from when; ours",
    "augmentation.flip": "Szegedy et al. 2014, Section 7: mirrored versions of crops",
    "augmentation.colour_jitter": f"{SECTION_6}: Howard 2014, whose Section 2.2 says 0.5 to 1.5",
    "augmentation.pca": f"{SECTION_6}: Howard 2014, who keeps AlexNet's lighting",
}

GOOGLENET_2014 = Recipe(
    name="googlenet-2014",
    summary="GoogLeNet on ImageNet: auxiliary classifiers, resized crops, averaged weights",
    year=2014,
    epochs=250,
    batch_size=32,
    optimizer=Sgd(lr=0.01, momentum=0.9, weight_decay=2e-4),
    schedule=Exponential(factor=0.96, every=8 / 250),
    auxiliary_weight=0.3,
    swa_start=0.9,
    augmentation=Augmentation(
        resized_crop=ResizedCrop(), flip=True, colour_jitter=DISTORTIONS, pca=0.1
    ),
    input_size=224,
    sources={
        **SOURCES,
        "epochs": f"{CAFFE}: 10,000,000 steps, 250 epochs",
        "batch_size": f"{CAFFE}: 32",
        "optimizer.lr": f"{CAFFE}: 0.01",
        "augmentation.resized_crop": f"{SECTION_6}: 8 % to 100 % of the area, ratio 3/4 to 4/3",
        "input_size": "Szegedy et al. 2014, Section 5: 224",
    },
)

GOOGLENET_2014_SMALL = Recipe(
    name="googlenet-2014-small",
    summary="GoogLeNet's training at 32 pixels: 30 epochs, batch 128",
    year=2014,
    epochs=30,
    batch_size=128,
    optimizer=Sgd(lr=0.04, momentum=0.9, weight_decay=2e-4),
    schedule=Exponential(factor=0.96, every=8 / 250),
    auxiliary_weight=0.3,
    swa_start=0.9,
    augmentation=Augmentation(
        padding=4, padding_mode="zero", flip=True, colour_jitter=DISTORTIONS, pca=0.1
    ),
    sources={
        **SOURCES,
        "epochs": "ours: for a CPU",
        "batch_size": "ours: 128, as He et al. 2015 on CIFAR",
        "optimizer.lr": f"{CAFFE}, 0.01 at 32, in proportion to the batch (Goyal et al. 2017)",
        "augmentation.padding": "He et al. 2015, Section 4.2, for crops of a part of 32 pixels",
        "augmentation.padding_mode": "He et al. 2015, Section 4.2",
    },
)
