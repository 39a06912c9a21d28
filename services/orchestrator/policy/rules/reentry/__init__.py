"""The rule `reentry`: a campaign reaches a customer once, or at most at some distance."""
