"""What an installer is told of a controller: its files, its lines, its readers."""
