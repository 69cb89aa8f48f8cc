"""Image sets: where they come from, how they are read, checked, varied and put into batches."""

from convnets.data.known import KNOWN
from convnets.data.load import load_data
from convnets.data.sets import ImageArrays, ImageFiles, ImageSet, Split

__all__ = ["KNOWN", "ImageArrays", "ImageFiles", "ImageSet", "Split", "load_data"]
