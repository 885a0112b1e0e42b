"""Offers and backward readings: what modes can reach and must cost, and what prices say about the machine."""
