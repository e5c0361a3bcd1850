"""Programs that people open, and that nothing else imports."""
