"""What every package builds on: errors, languages and directions, settings, files, processes."""
