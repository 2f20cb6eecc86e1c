"""What mailonce runs on: the embedded stack, the SES sandbox, the demo, containers."""
