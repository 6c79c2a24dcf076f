"""vantail's on-site controller agent."""

__version__ = "0.1.0"
