"""The conformance tests: plain functions, one file per area, each marked with what it judges."""
