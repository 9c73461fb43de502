"""What is measured; each file prints ratios against a baseline of the same run."""
