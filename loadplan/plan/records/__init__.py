"""What a plan says, as records and nothing else."""
