"""Words as shells like sh read them."""


def quoted(text: str) -> str:
    """One word, always in quotes: `shlex.quote` leaves plain words bare, and these files are read in columns."""
    return "'" + text.replace("'", "'\\''") + "'"
