"""Rewriting: a table of pattern -> replacement, and the simplification of a graph by it."""

from wimmel.graph.rewrite.patterns import Anything, Constant, Made, Match, Pattern, Rule
from wimmel.graph.rewrite.rules import RULES
from wimmel.graph.rewrite.simplification import simplified, simplify

__all__ = ["RULES", "Anything", "Constant", "Made", "Match", "Pattern", "Rule", "simplified", "simplify"]
