"""What `fit` needs: optimizers, metrics, mends of the trainer, exact resume."""
