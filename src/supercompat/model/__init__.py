"""What is said between us and a model: neutral, and without I/O."""
