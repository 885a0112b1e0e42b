"""The plan shown on the README's first screen, run by cog (`make docs`): the command's own words, its own output."""

import os
import subprocess
import sys

import cog

WORDS = "plan deepseek-ai/DeepSeek-V3 --on gb200-nvl72 --isl 8192 --osl 1024 --min-interactivity 20"
CODE = "from rackmath.faces.cli import main; main()"

run = subprocess.run(
    [sys.executable, "-c", CODE, *WORDS.split()],
    env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
    capture_output=True,
    text=True,
    check=True,
)
lines = [line.rstrip() for line in run.stdout.splitlines()]
end = next(n for n, line in enumerate(lines) if line.startswith("Pareto front"))
cog.outl("```")
cog.outl(f"$ rackmath {WORDS}")
cog.out("\n".join(lines[:end]).rstrip())
cog.outl("\n…the Pareto front, the runner-up and why it lost\n```")
