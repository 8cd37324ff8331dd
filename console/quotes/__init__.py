"""What jobs would cost, told before anything is spent; and publishing within a total."""
