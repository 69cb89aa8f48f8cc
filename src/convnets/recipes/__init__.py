"""Complete named training runs, as data: each value with its source."""

from __future__ import annotations

from convnets.recipes.alexnet_2012 import ALEXNET_2012, ALEXNET_2012_SMALL
from convnets.recipes.baseline import BASELINE
from convnets.recipes.capsnet_2017 import CAPSNET_2017
from convnets.recipes.convnext_2022 import CONVNEXT_2022, CONVNEXT_2022_SMALL
from convnets.recipes.densenet_2017 import DENSENET_2017, DENSENET_2017_SMALL
from convnets.recipes.efficientnet_2019 import EFFICIENTNET_2019, EFFICIENTNET_2019_SMALL
from convnets.recipes.efficientnetv2_2021 import EFFICIENTNETV2_2021, EFFICIENTNETV2_2021_SMALL
from convnets.recipes.googlenet_2014 import GOOGLENET_2014, GOOGLENET_2014_SMALL
from convnets.recipes.lecture import LECTURE
from convnets.recipes.lenet_1998 import LENET_1998
from convnets.recipes.mobilenet_2017 import MOBILENET_2017, MOBILENET_2017_SMALL
from convnets.recipes.recipe import Recipe as Recipe
from convnets.recipes.recipe import find, with_changes
from convnets.recipes.resnet_2015 import RESNET_2015
from convnets.recipes.resnet_cifar import RESNET_CIFAR
from convnets.recipes.rsb_2021 import RSB_A1, RSB_A2, RSB_A3, RSB_A3_SMALL
from convnets.recipes.sprint import SPRINT, SPRINT_PLAIN
from convnets.recipes.stochastic_depth_2016 import STOCHASTIC_DEPTH_2016
from convnets.recipes.transfer import FINETUNE, LINEAR_PROBE
from convnets.recipes.vgg_2014 import VGG_2014, VGG_2014_SMALL
from convnets.recipes.wrn_2016 import WRN_2016

RECIPES: tuple[Recipe, ...] = (
    *(BASELINE, LECTURE, FINETUNE, LINEAR_PROBE, SPRINT, SPRINT_PLAIN),
    *(LENET_1998, ALEXNET_2012, ALEXNET_2012_SMALL, VGG_2014, VGG_2014_SMALL),
    *(GOOGLENET_2014, GOOGLENET_2014_SMALL, RESNET_2015, RESNET_CIFAR, STOCHASTIC_DEPTH_2016),
    *(WRN_2016, DENSENET_2017, DENSENET_2017_SMALL, MOBILENET_2017, MOBILENET_2017_SMALL),
    *(CAPSNET_2017, EFFICIENTNET_2019, EFFICIENTNET_2019_SMALL),
    *(EFFICIENTNETV2_2021, EFFICIENTNETV2_2021_SMALL),
    *(RSB_A1, RSB_A2, RSB_A3, RSB_A3_SMALL, CONVNEXT_2022, CONVNEXT_2022_SMALL),
)

__all__ = ["RECIPES", "Recipe", "load_recipe", "with_changes"]


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe by name, or from a TOML file of the same schema."""
    return find(name_or_path, RECIPES)
