"""The sections of the benchmark, a file for each: which cases, and which contenders."""
