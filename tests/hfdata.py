"""Where the raw config.json files lie, which are not part of the project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
DATA = Path(os.environ.get("RACKMATH_DATA") or HERE.parents[1] / "shared" / "data")
CONFIGS = DATA / "hf_configs"
RECORDED: dict[str, Any] = json.loads((HERE / "against" / "transformers_counts.json").read_text())

needs_configs = pytest.mark.skipif(not CONFIGS.is_dir(), reason=f"needs the raw config files in {CONFIGS} (set RACKMATH_DATA)")
