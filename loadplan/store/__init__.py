"""The run folder: every artefact written whole, hashed, and traceable to what it was made from."""
