"""Programs that get their first `assistants.create` answered, say so, and end."""
