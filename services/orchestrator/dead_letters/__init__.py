"""Dead letters of all three services in one list: look, dry run, redrive as a job, discard."""
