"""The HTTP-shaped application, without an HTTP library."""
