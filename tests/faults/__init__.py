"""The real processes, killed and hurt: whatever happens, the next ordinary sync makes it good."""
