"""The main job on real input, with the crash at e-mail 55: ``make demo``."""
