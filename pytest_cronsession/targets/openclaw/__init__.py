"""The target ``openclaw``: an unmodified OpenClaw gateway, driven in real time.

Tested with OpenClaw 2026.9.6; other versions are not refused, and may answer differently. POSIX only:
the gateway runs in a process group of its own, which is ended as a whole.
"""
