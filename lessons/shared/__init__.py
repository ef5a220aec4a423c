"""What several lessons need: check engine, still figures, colours, the explorer, stored results, the formula registry."""
