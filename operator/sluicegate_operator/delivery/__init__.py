"""What the sidecars get: versioned, and written so that an older decision never replaces a newer one."""
