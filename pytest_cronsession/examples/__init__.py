"""Gateways to try the suite on."""
