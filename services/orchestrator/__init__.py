"""The orchestrator: owns campaigns, the policy, the contact ledger, decisions, messages and their handover."""
