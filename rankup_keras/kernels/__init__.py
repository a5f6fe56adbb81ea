"""How a few hot functions are computed, by what the program will run on."""
