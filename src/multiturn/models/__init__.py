"""Who answers: a model is reached through a format and a transport."""
