"""Who remembers: how rows are kept."""
