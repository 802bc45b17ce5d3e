"""All methods at their own best dt, at equal epochs and at equal processor time."""
