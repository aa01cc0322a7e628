"""What is sent, made ready before the clock runs, and how a right answer is told from a wrong one."""
