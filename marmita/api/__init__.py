"""The JSON routes, one file a resource, and their OpenAPI document."""
