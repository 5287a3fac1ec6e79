"""Types of parameters: as JSON Schema, and as what takes values of JSON."""
