"""Kernels: one file for each family of loops. A family has a schedule (a record of what its code depends on) that can
write its kernel, and functions that plan the steps of one piece of a graph."""
