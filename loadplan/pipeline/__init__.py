"""The whole road as one readable function, kept in a run folder that loses nothing."""
