"""A bare machine, tried: set-up, demo and one test of each kind, under every condition that machines differ in.

``make fresh``. Conditions are values (`conditions`); `runner` carries them out in clones of the last commit (`place`);
`table` says what came of it. Only the standard library: nothing is installed when it starts.
"""
