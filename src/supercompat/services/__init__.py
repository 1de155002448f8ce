"""The API's operations as typed methods, without HTTP."""
