"""Who should get mail: source rows become jobs, published once per user and month."""
