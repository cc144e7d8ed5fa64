"""Commands of vrmatte, one module each, for the command line and for Python callers."""
