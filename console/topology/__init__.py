"""Who writes and reads which topic: as the contract has it, and as the cluster has it now."""
