"""Compute split between pre-training, RL and inference, and the cheapest design of a quality."""
