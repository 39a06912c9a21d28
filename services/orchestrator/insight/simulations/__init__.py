"""What-if on recorded traffic: requests, their traffic written to files, and the process that simulates it."""
