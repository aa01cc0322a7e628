"""What can be bought, from whom and how many of it, and which ways there are to pay."""
