"""From a decided message to a provider: the outbox, the gate, the handover and what comes back."""
