"""Numbered, frozen, forward-only SQL."""
