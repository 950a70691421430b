"""The service: an HTTP API and a dashboard over the record of studies."""
