"""Where the student comes from: a file, a registered architecture, or the teacher itself."""
