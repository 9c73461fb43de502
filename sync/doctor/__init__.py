"""What `doctor` looks at: the machine, the providers, the ledger. Each check says in one sentence what to do."""
