"""What lies around the answer: other cases and choices, what runs today, and what would change it."""
