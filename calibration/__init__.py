"""Scripts that fit constants on measured rows and write `data/fitted`: python -m calibration.NAME."""
