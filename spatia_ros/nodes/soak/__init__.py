"""Trials of a live world: who plays, who checks, and what is promised."""
