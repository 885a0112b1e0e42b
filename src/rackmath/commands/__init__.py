"""One module a command: its question, its answer, its terms."""
