"""Hardware and prices, each figure with its source and the date it was seen."""
