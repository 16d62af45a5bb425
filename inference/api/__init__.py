"""REST of the registry: parse, call a service, render."""
