"""What the neurons do: overlap, structure, causes."""
