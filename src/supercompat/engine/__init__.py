"""What a run is: how it proceeds, and who sees it."""
