"""Finds and labels the recordings that a user puts into this folder."""
