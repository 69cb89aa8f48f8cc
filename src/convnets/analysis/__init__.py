"""What a network costs: parameters, multiply-adds, memory and receptive field, layer by layer."""

from convnets.analysis.cost import LayerCost, Profile
from convnets.analysis.trace import profile

__all__ = ["LayerCost", "Profile", "profile"]
