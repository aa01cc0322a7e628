"""One generator: the job it is handed, the loop that sends, and the process of Locust's that it lives in."""
