"""Where credentials come from; ``sources`` has one small class for each kind."""
