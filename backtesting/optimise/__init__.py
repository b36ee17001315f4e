"""The optimiser: parameter sets chosen by a sampler, replayed by processes, judged by several objectives."""
