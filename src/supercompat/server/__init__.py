"""What runs as a program of its own: the command line, and the demo with its local model."""
