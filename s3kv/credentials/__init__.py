"""Where credentials come from: ``providers`` has the kinds, ``cached`` keeps what they give."""
