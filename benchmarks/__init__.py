"""What mailonce costs, and how it compares: each module is a program on loopback servers of its own."""

from schemas.runtime.entry import enter

enter()
