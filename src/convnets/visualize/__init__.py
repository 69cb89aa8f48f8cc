"""Seeing inside: what a network responds to, and what in an image it looks at."""
