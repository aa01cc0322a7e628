"""Several generators as one: the schedule is parted among them, and their records are put together again."""
