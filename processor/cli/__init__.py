"""What the processor's commands do and print, by subject. The command line itself is in `mailonce`."""
