"""openwebui."""
