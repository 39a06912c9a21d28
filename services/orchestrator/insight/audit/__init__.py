"""Re-checks what was handed over against what was in force then."""
