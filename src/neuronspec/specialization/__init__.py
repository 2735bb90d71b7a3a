"""Masks onto a model: specialized layers, the direction scope, compact models, folders."""
