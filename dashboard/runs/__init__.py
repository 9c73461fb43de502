"""The parts of the page Sync: how current the data is, what runs, what ran, what failed, and whether it all adds up."""
