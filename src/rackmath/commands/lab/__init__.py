"""Experiments on what ciphers and networks share. To learn from; nothing here protects data."""
