"""What a processor tells of itself: metrics and traces."""
