"""What a text shows, claims, doubts and takes back, and in which language. Linear scans; knows no golds."""
