"""How each library computes a layer, answers with a network and trains one: a file for each, with functions from a case
and a number of threads to a `Ready`. The libraries are imported inside, in the process of their contender."""
