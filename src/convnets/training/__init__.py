"""Training of any ``nn.Module`` on any source of batches: loop, state, checkpoints."""
