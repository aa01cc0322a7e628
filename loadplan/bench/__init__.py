"""How long does one batch take on this machine?"""
