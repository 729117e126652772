"""The gallery: short films of what can be done with space and time here, each made by a script that can be copied."""
