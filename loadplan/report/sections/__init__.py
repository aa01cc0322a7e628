"""One module per section of the page: each takes what was found and gives the blocks that answer its question."""
