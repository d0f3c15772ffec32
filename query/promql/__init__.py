"""PromQL: text to a syntax tree, and a tree over arrays of samples to a matrix of series by steps. Knows no store."""
