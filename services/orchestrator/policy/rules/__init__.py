"""Policy rules, one folder each: whether a candidate may be sent at an instant, by pure functions of frozen facts.

`schemas/rule_registry.py` finds the folders; docs/extending.md describes how to add one. The modules beside the folders
are shared: `definition` (what a rule is) and `registry` (all rules with their code, in order of evaluation).
"""
