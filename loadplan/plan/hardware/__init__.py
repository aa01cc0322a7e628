"""What one machine of any kind carries, by what was measured on it or on others."""
