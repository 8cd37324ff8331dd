"""An audit that an outsider can verify: signed checkpoints over all chains, proofs, exports (`docs/audit.md`)."""
