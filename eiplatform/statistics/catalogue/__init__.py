"""The public statistics by topic: what each needs, its axis, and what may be compared."""
