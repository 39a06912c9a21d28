"""How long decisions, contents, samples and finished jobs are kept."""
