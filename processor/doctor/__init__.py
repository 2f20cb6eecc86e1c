"""``mailonce doctor``: is everything there, set up as the promise needs it, and if not, what is to be done."""
