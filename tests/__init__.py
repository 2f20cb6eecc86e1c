"""The tests, and what they start: programs as any other, on loopback."""

from schemas.entry import enter

enter()
