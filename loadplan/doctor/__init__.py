"""Can this machine walk the road, and what mends what it lacks?"""
