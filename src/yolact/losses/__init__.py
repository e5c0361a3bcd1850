"""What training minimizes: pure functions of raw output and targets."""
