"""What is driven: found by its address or started here, and watched while it answers."""
