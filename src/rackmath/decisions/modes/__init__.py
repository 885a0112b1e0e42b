"""Fast, slow and batch offers at cost, menus of them, cadence of a replica, and where a cached prefix waits."""
