"""Whether this mail may go out now: the processor, its operators' tools and its protocol."""
