"""The lecture's claims held to account: each a small record, its verdict computed from its inputs."""
