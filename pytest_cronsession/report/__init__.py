"""What is told about a run: the JSON report and the summary in the terminal."""
