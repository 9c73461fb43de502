"""What the pages share: the session's script, the one door to the store, filters, metrics, charts and tables."""
