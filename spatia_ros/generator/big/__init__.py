"""Spatia's published form on Wan2.2-TI2V-5B, for those who have its weights: nothing here is imported unless it is asked for."""
