"""A price list from cost, tier by tier, beside what hosts ask."""
