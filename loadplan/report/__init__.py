"""What do the engineer and the budget owner look at?"""
