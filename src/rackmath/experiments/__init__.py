"""Experiments that show what ciphers and networks share; nothing here is for protecting data."""
