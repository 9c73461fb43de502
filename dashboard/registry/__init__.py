"""The sections of the page Settings: who owns which number and agent, and the forms that change it."""
