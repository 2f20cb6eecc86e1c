"""The tests, and what they start: programs as any other, on loopback."""

from schemas.runtime.entry import enter

enter()
