"""Prompts for engines that follow people: where each person is, and frames before their first."""
