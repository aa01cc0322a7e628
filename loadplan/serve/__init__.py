"""The embedded prediction API: a program of its own, started as a process, imported by nothing."""
