"""Price lists read backwards: one equation at a time, and all evidence at once."""
