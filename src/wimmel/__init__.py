"""Convolution for NumPy and convolutional networks for ordinary CPUs."""
