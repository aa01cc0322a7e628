"""The completion files of the shells, made of the command tree."""
