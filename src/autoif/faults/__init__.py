"""What is wrong with a function by what it does, without gold: texts made for its instruction, and what they show."""
