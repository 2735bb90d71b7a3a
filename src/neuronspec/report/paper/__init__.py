"""Vector figures for papers."""
