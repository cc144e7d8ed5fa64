"""What a matte is made into: passthrough, green-screen and matte pictures, and their file names."""
