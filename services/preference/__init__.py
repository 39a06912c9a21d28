"""What customers chose: traits, addresses, consent with its proof, opt-outs and wishes."""
