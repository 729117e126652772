"""What a world does over a while, for a goal: fly, record, export, build an engine."""
