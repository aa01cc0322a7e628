"""What is asked: model, traffic, objectives, and what the planner may choose from."""
