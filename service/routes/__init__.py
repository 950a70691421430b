"""The API by resource: one module each, with a `router`."""
