"""Lessons: read, try, predict, check; and the teacher's form."""
