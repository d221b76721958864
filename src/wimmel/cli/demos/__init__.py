"""The demos of `wimmel demo`, a file for each."""
