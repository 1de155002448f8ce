"""The in-process door: transports for the openai SDK's HTTP library."""
