"""The target ``openclaw``: an unmodified OpenClaw gateway, driven on virtual time.

Tested with OpenClaw 2026.4.5 and 2026.9.6, each with a dialect (:mod:`.versions`); other versions are not
refused, and may answer differently. POSIX only: the gateway runs in a process group of its own, which is
ended as a whole.
"""
