"""What is the cheapest fleet that meets every objective?"""
