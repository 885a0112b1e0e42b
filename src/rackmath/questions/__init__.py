"""What is asked: frozen records whose fields say their default, unit, limits, choices and help once."""
