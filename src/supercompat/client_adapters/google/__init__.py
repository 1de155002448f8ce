"""Google's Gemini models, through `google.genai`."""

from supercompat.client_adapters.google.client import GoogleClientAdapter, GoogleConnection

__all__ = ["GoogleClientAdapter", "GoogleConnection"]
