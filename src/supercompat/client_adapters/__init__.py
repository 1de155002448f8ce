"""Who answers: one module or folder for each provider."""
