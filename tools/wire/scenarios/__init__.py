"""What is recorded, a module an area."""
