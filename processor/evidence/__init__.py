"""SES's events: what became of a call whose answer was lost, and of a mail after it was accepted."""
