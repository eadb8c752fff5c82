"""What `fercourse.check.check_model` tries on a network, one kind of question a module."""
