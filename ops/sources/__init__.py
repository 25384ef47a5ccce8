"""Demo sources: what the local stack can pull besides call reports."""
