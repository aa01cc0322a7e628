"""What traffic is to come, from the logs of a service or the figures of a business, as a scenario's traffic block."""
