"""How many replicas carry what is asked, in fleets of one or several types, all week and with some lost."""
