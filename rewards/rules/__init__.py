"""Rules on one answer: choice, exact, code, format, length, repetition, language, instructions. No rule knows of pools,
deadlines or policies."""
