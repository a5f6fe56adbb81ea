"""Experimental, no TPU has run it: tables on TPUs, training steps checked ahead of time."""
