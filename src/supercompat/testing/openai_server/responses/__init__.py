"""OpenAI's Responses API, and Groq's, played from the same script as chat completions."""
