"""The Assistants API v2 as types: requests, objects, events."""
