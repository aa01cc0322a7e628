"""A running service whose batching can't be set: what it is made of, learned from gentle runs, and what it carries."""
