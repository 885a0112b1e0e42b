"""Records of the domain as parts of answers: what several commands show alike."""
