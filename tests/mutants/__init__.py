"""Guarding lines of the source, each taken out in a copy, and the test of docs/guarantee.md that then fails."""
