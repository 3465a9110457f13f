"""Whatever happens in between, every file's last content is live once the server can be reached."""
