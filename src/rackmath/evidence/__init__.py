"""Measured figures beside predictions: readers of published files, answers for their rows, and scores."""
