"""How does a live API answer real arrivals?"""
