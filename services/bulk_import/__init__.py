"""Library: imports of files of up to millions of rows, taken as jobs with a result per row."""
