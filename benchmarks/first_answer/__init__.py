"""Programs that get their first `assistants.create` answered, print the processor time that it took, and end."""
