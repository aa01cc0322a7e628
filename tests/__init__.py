"""A package, so that one of the same name among the installed ones (Ciw brings one) does not hide it."""
