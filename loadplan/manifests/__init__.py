"""Files that run the planned fleet: for Kubernetes and for compose, every number in them from the plan."""
