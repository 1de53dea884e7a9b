"""What programs read: one shape for the JSON of the command line, the API and its description. Pure."""
